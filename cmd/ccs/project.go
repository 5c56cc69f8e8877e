package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/ccs/server"
	"github.com/openccs/openccs/store"
)

type projectCmd struct {
	Create projectCreateCmd `cmd:"" help:"Creation of a project with an API key."`
	List   projectListCmd   `cmd:"" help:"List of the projects."`
	Key    projectKeyCmd    `cmd:"" help:"API keys of a project: add and revoke."`
	OAuth  projectOAuthCmd  `cmd:"" name:"oauth" help:"OAuth clients of a project: create, list and revoke."`
	Apps   projectAppsCmd   `cmd:"" help:"Extension IDs of a project for GCM for Chrome: add, remove and list."`
	Limit  projectLimitCmd  `cmd:"" help:"Windows and rate limit of one project."`
	Delete projectDeleteCmd `cmd:"" help:"Deletion of a project."`
}

// projectFlags are the flags of all project commands.
type projectFlags struct {
	dataFlag
	Store string `default:"${store}" placeholder:"URL" help:"URL of the store to open when no server runs, as for ccs serve."`
	JSON  bool   `help:"Output as JSON. Default: text."`
}

// projects are the operations of the project commands. The server that runs on the data directory
// carries them out, or ccs does so on the store in it.
type projects interface {
	Create(ctx context.Context, name, sender string) (*admin.Credentials, error)
	List(ctx context.Context) ([]admin.Project, error)
	AddKey(ctx context.Context, sender, name string) (*admin.Credentials, error)
	RevokeKey(ctx context.Context, sender, keyID string) error
	SetKeyNetworks(ctx context.Context, sender, keyID string, networks []string) error
	SetLimits(ctx context.Context, sender string, l admin.Limits) error
	Delete(ctx context.Context, sender string) error
	CreateOAuth(ctx context.Context, sender string, r admin.OAuthRequest) (*admin.OAuthCredentials, error)
	ListOAuth(ctx context.Context, sender string) ([]admin.OAuthClient, error)
	RevokeOAuth(ctx context.Context, clientID string, accessTokens bool) error
	AddApp(ctx context.Context, sender, id string) error
	RemoveApp(ctx context.Context, sender, id string) error
	ListApps(ctx context.Context, sender string) ([]admin.App, error)
}

type projectCreateCmd struct {
	projectFlags
	Name     string `arg:"" optional:"" help:"Name for display."`
	SenderID string `name:"sender-id" placeholder:"ID" help:"Sender ID of the project. Default: a random one of 12 digits."`
}

// Help returns the long help with examples.
func (projectCreateCmd) Help() string {
	return `The key is shown only once, because only its hash is kept. The command works with and without a running server.

Examples:

    ccs project create "My shop"
    ccs project create --sender-id 123456789012 --json
`
}

// Run makes the project and prints its credentials.
func (c *projectCreateCmd) Run(ctx context.Context, out *output) error {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	return c.with(ctx, func(p projects) error {
		made, err := p.Create(ctx, c.Name, c.SenderID)
		if errors.Is(err, admin.ErrInvalid) {
			return &usageError{err: fmt.Errorf("--sender-id: %w", err)}
		}
		if err != nil {
			return err
		}
		return c.show(out, made)
	})
}

// show prints a key. No later command can show it.
func (f *projectFlags) show(out *output, made *admin.Credentials) error {
	if f.JSON {
		return out.json(struct {
			SenderID string `json:"sender_id"`
			APIKey   string `json:"api_key"`
		}{made.SenderID, made.APIKey})
	}
	return out.printf("Sender ID  %s\nAPI key    %s\n", made.SenderID, made.APIKey)
}

type projectListCmd struct{ projectFlags }

// Help returns the long help with examples.
func (projectListCmd) Help() string {
	return `Examples:

    ccs project list
    ccs project list --json
`
}

// Run prints every project with the IDs of its keys.
func (c *projectListCmd) Run(ctx context.Context, out *output) error {
	return c.with(ctx, func(p projects) error {
		list, err := p.List(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return out.json(list)
		}
		if len(list) == 0 {
			out.note("no projects yet: make one with: ccs project create")
		}
		for _, project := range list {
			keys := make([]string, len(project.Keys))
			for i, key := range project.Keys {
				keys[i] = strings.TrimSpace(key.ID + " " + key.Name)
			}
			err := out.printf("%s  %s  %s  keys: %s\n", project.SenderID, project.Created.Local().Format(time.DateOnly),
				project.Name, strings.Join(keys, ", "))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

type projectKeyCmd struct {
	Add    projectKeyAddCmd    `cmd:"" default:"withargs" help:"Additional API key for a project; add may be left out."`
	Revoke projectKeyRevokeCmd `cmd:"" help:"Revocation of an API key of a project."`

	Networks projectKeyNetworksCmd `cmd:"" help:"Networks from which an API key is accepted."`
}

type projectKeyAddCmd struct {
	projectFlags
	Project string `arg:"" help:"Sender ID of the project."`
	Name    string `arg:"" optional:"" help:"Name for display."`
}

// Help returns the long help with examples.
func (projectKeyAddCmd) Help() string {
	return `Examples:

    ccs project key add 123456789012 laptop
`
}

// Run adds the key and prints it.
func (c *projectKeyAddCmd) Run(ctx context.Context, out *output) error {
	return c.with(ctx, func(p projects) error {
		made, err := p.AddKey(ctx, c.Project, c.Name)
		if err != nil {
			return err
		}
		return c.show(out, made)
	})
}

type projectKeyRevokeCmd struct {
	projectFlags
	Project string `arg:"" help:"Sender ID of the project."`
	KeyID   string `arg:"" help:"ID of the key, as ccs project list shows it."`
}

// Help returns the long help with examples.
func (projectKeyRevokeCmd) Help() string {
	return `Connections that have logged in with the key are closed.

Examples:

    ccs project key revoke 123456789012 1f0c9a77
`
}

// Run revokes the key.
func (c *projectKeyRevokeCmd) Run(ctx context.Context, out *output) error {
	return c.with(ctx, func(p projects) error {
		err := p.RevokeKey(ctx, c.Project, c.KeyID)
		if errors.Is(err, admin.ErrInvalid) {
			return &usageError{err: err, hint: "ccs project list"}
		}
		if err != nil {
			return err
		}
		if c.JSON {
			return out.json(map[string]string{"sender_id": c.Project, "revoked": c.KeyID})
		}
		return out.printf("revoked key %s of project %s\n", c.KeyID, c.Project)
	})
}

type projectKeyNetworksCmd struct {
	projectFlags
	Project  string   `arg:"" help:"Sender ID of the project."`
	KeyID    string   `arg:"" help:"ID of the key, as ccs project list shows it."`
	Networks []string `arg:"" optional:"" name:"network" help:"Networks such as 192.0.2.0/24, or addresses. None: every address."`
}

// Help returns the long help with examples.
func (projectKeyNetworksCmd) Help() string {
	return `From any other address the key is refused, over HTTP and over XMPP. Open connections stay.

Examples:

    ccs project key networks 123456789012 1f0c9a77 192.0.2.0/24 2001:db8::/32
    ccs project key networks 123456789012 1f0c9a77
`
}

// Run sets the networks.
func (c *projectKeyNetworksCmd) Run(ctx context.Context, out *output) error {
	return c.with(ctx, func(p projects) error {
		err := p.SetKeyNetworks(ctx, c.Project, c.KeyID, c.Networks)
		if errors.Is(err, admin.ErrInvalid) {
			return &usageError{err: err}
		}
		if err != nil {
			return err
		}
		if c.JSON {
			return out.json(struct {
				SenderID string   `json:"sender_id"`
				KeyID    string   `json:"key_id"`
				Networks []string `json:"networks"`
			}{c.Project, c.KeyID, append([]string{}, c.Networks...)})
		}
		if len(c.Networks) == 0 {
			return out.printf("key %s of project %s is accepted from every address\n", c.KeyID, c.Project)
		}
		return out.printf("key %s of project %s is accepted from %s only\n", c.KeyID, c.Project, strings.Join(c.Networks, ", "))
	})
}

type projectLimitCmd struct {
	projectFlags
	Project        string `arg:"" help:"Sender ID of the project."`
	Window         *int   `env:"" placeholder:"N" help:"Maximum number of unanswered messages from one connection. Default: the server's."`
	UpstreamWindow *int   `env:"" placeholder:"N" help:"Maximum number of unacknowledged messages to one connection. Default: the server's."`
	PerSecond      int    `env:"" placeholder:"N" help:"Maximum rate of messages over all connections, in messages a second. Default: no limit."`
	ChromePerDay   *int   `env:"" placeholder:"N" help:"Maximum number of messages of GCM for Chrome on a UTC day. Default: 10000."`
}

// Help returns the long help with examples.
func (projectLimitCmd) Help() string {
	return `A limit that is left out returns to its default. Open connections keep their windows.

Examples:

    ccs project limit 123456789012 --window 100 --upstream-window 100
    ccs project limit 123456789012 --per-second 500
    ccs project limit 123456789012 --chrome-per-day 50000
    ccs project limit 123456789012
`
}

// Run sets the limits.
func (c *projectLimitCmd) Run(ctx context.Context, out *output) error {
	return c.with(ctx, func(p projects) error {
		l := admin.Limits{Window: orZero(c.Window), UpstreamWindow: orZero(c.UpstreamWindow), PerSecond: c.PerSecond, ChromePerDay: orZero(c.ChromePerDay)}
		err := p.SetLimits(ctx, c.Project, l)
		if errors.Is(err, admin.ErrInvalid) {
			return &usageError{err: err}
		}
		if err != nil {
			return err
		}
		if c.JSON {
			return out.json(l)
		}
		return out.printf("window %d, upstream window %d, per second %d, of GCM for Chrome per day %d (0: the server's)\n",
			l.Window, l.UpstreamWindow, l.PerSecond, l.ChromePerDay)
	})
}

type projectDeleteCmd struct {
	projectFlags
	Project string `arg:"" help:"Sender ID of the project."`
}

// Help returns the long help with examples.
func (projectDeleteCmd) Help() string {
	return `Examples:

    ccs project delete 123456789012
`
}

// Run deletes the project.
func (c *projectDeleteCmd) Run(ctx context.Context, out *output) error {
	return c.with(ctx, func(p projects) error {
		if err := p.Delete(ctx, c.Project); err != nil {
			return err
		}
		if c.JSON {
			return out.json(map[string]string{"deleted": c.Project})
		}
		return out.printf("deleted project %s\n", c.Project)
	})
}

// with calls fn with the projects of the data directory.
func (f *projectFlags) with(ctx context.Context, fn func(projects) error) error {
	if _, err := os.Stat(f.Data); err != nil {
		return &hintedError{err: fmt.Errorf("--data: %w", err), hint: "name the data directory of a server, or make a project in a new one with: ccs project create"}
	}
	p, done, err := openProjects(ctx, f.Data, f.Store)
	if err != nil {
		return err
	}
	return errors.Join(fn(p), done())
}

// A server that is starting or ending holds the store without listening for commands. openProjects
// tries again for this long.
const (
	openPatience = 5 * time.Second
	openPause    = 50 * time.Millisecond
)

// openProjects connects to the server that runs on the directory, or opens the store if none runs.
func openProjects(ctx context.Context, dir, storeURL string) (p projects, done func() error, err error) {
	return openAdmin(ctx, dir, storeURL,
		func(c *admin.Client) projects { return c },
		func(s store.Store) (projects, error) { return admin.NewProjects(s, admin.Options{}), nil })
}

// openAdmin returns what running makes of the server that runs on the directory, or what stored
// makes of the store if none runs.
func openAdmin[T any](ctx context.Context, dir, storeURL string, running func(*admin.Client) T, stored func(store.Store) (T, error)) (t T, done func() error, err error) {
	conf := server.Default()
	conf.DataDir, conf.Store = dir, storeURL
	conf.AllowEviction = true // only the server refuses such a Redis
	patience, cancel := context.WithTimeout(ctx, openPatience)
	defer cancel()
	for {
		client, err := admin.Dial(dir)
		if err == nil {
			return running(client), client.Close, nil
		}
		if !errors.Is(err, admin.ErrNoServer) {
			return t, nil, err
		}
		s, err := server.OpenStore(ctx, conf)
		if err == nil {
			if t, err = stored(s); err != nil {
				return t, nil, errors.Join(err, s.Close())
			}
			return t, s.Close, nil
		}
		if !errors.Is(err, store.ErrLocked) {
			return t, nil, err
		}
		select {
		case <-patience.Done():
			return t, nil, fmt.Errorf("--data %s: %w", dir, err)
		case <-time.After(openPause):
		}
	}
}
