package main

import (
	"context"
	"errors"
	"time"

	"github.com/openccs/openccs/ccs/admin"
)

type projectAppsCmd struct {
	Add    projectAppsAddCmd    `cmd:"" help:"Extension ID for a project."`
	Remove projectAppsRemoveCmd `cmd:"" help:"Removal of an extension ID from a project."`
	List   projectAppsListCmd   `cmd:"" help:"List of the extension IDs of a project."`
}

// appsFlags are the flags of the commands for apps.
type appsFlags struct {
	projectFlags
	Sender string `placeholder:"ID" help:"Sender ID of the project. Default: the sender ID on the connection card."`
}

// resolve fills in the sender ID.
func (f *appsFlags) resolve() error {
	k, err := needCard(f.Data, map[string]string{"--sender": f.Sender})
	if err != nil {
		return err
	}
	fill(&f.Sender, k.SenderID)
	if f.Sender == "" {
		return noProject("no sender ID")
	}
	return nil
}

// change runs a command that changes the apps of a project.
func (f *appsFlags) change(ctx context.Context, out *output, event, id string, fn func(projects) error) error {
	if err := f.resolve(); err != nil {
		return err
	}
	return f.with(ctx, func(p projects) error {
		err := fn(p)
		switch {
		case errors.Is(err, admin.ErrInvalid):
			return &usageError{err: err}
		case err != nil:
			return err
		case f.JSON:
			return out.json(map[string]string{"sender_id": f.Sender, event: id})
		}
		return out.printf("%s %s: project %s\n", event, id, f.Sender)
	})
}

type projectAppsAddCmd struct {
	appsFlags
	Extension string `arg:"" name:"extension-id" help:"Extension ID, as the browser shows it."`
}

// Help returns the long help with examples.
func (projectAppsAddCmd) Help() string {
	return `GCM for Chrome accepts messages for an app only from the project that has its extension ID.
An extension ID belongs to one project.

Examples:

    ccs project apps add --sender 123456789012 abebbaoboeficpkmpcadfkbblmbjkklf
`
}

// Run adds the app.
func (c *projectAppsAddCmd) Run(ctx context.Context, out *output) error {
	return c.change(ctx, out, "added", c.Extension, func(p projects) error { return p.AddApp(ctx, c.Sender, c.Extension) })
}

type projectAppsRemoveCmd struct {
	appsFlags
	Extension string `arg:"" name:"extension-id" help:"Extension ID, as ccs project apps list shows it."`
}

// Help returns the long help with examples.
func (projectAppsRemoveCmd) Help() string {
	return `A running server refuses messages for the app within a second.

Examples:

    ccs project apps remove --sender 123456789012 abebbaoboeficpkmpcadfkbblmbjkklf
`
}

// Run removes the app.
func (c *projectAppsRemoveCmd) Run(ctx context.Context, out *output) error {
	return c.change(ctx, out, "removed", c.Extension, func(p projects) error { return p.RemoveApp(ctx, c.Sender, c.Extension) })
}

type projectAppsListCmd struct{ appsFlags }

// Help returns the long help with examples.
func (projectAppsListCmd) Help() string {
	return `Examples:

    ccs project apps list --sender 123456789012 --json
`
}

// Run prints the apps.
func (c *projectAppsListCmd) Run(ctx context.Context, out *output) error {
	if err := c.resolve(); err != nil {
		return err
	}
	return c.with(ctx, func(p projects) error {
		list, err := p.ListApps(ctx, c.Sender)
		if err != nil {
			return err
		}
		if c.JSON {
			return out.json(list)
		}
		if len(list) == 0 {
			out.note("no extension IDs yet: add one with: ccs project apps add")
		}
		for _, a := range list {
			if err := out.printf("%s  %s\n", a.ID, a.Created.Local().Format(time.DateOnly)); err != nil {
				return err
			}
		}
		return nil
	})
}
