package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/ccs/card"
	"github.com/openccs/openccs/ccs/server"
	"github.com/openccs/openccs/store"
)

// membershipFlags are the flags of the commands for topics and groups.
type membershipFlags struct {
	projectFlags
	Sender string `placeholder:"ID" help:"Sender ID of the project. Default: the sender ID on the connection card."`
}

// with calls fn with the memberships of the running server, or of the store if none runs.
func (f *membershipFlags) with(ctx context.Context, fn func(server.Memberships) error) error {
	if _, err := os.Stat(f.Data); err != nil {
		return &hintedError{err: fmt.Errorf("--data: %w", err), hint: "name the data directory of a server"}
	}
	if f.Sender == "" {
		c, err := card.Read(f.Data)
		if err != nil || c.SenderID == "" {
			return &usageError{err: errors.New("--sender: no sender ID on the connection card"), hint: "ccs project list"}
		}
		f.Sender = c.SenderID
	}
	m, done, err := openMemberships(ctx, f.Data, f.Store)
	if err != nil {
		return err
	}
	err = fn(m)
	if errors.Is(err, admin.ErrInvalid) {
		err = &usageError{err: err}
	}
	return errors.Join(err, done())
}

// openMemberships is openProjects for topics and groups.
func openMemberships(ctx context.Context, dir, storeURL string) (m server.Memberships, done func() error, err error) {
	return openAdmin(ctx, dir, storeURL,
		func(c *admin.Client) server.Memberships { return server.MembershipsOf(c) },
		func(s store.Store) (server.Memberships, error) { return server.NewMemberships(ctx, s) })
}

type topicsCmd struct {
	List   topicsListCmd   `cmd:"" help:"Topics of a project, with the messages in progress."`
	Show   topicsShowCmd   `cmd:"" help:"Subscribers of a topic."`
	Add    topicsAddCmd    `cmd:"" help:"Subscription of registration tokens to a topic."`
	Remove topicsRemoveCmd `cmd:"" help:"End of subscriptions to a topic."`
}

type topicsListCmd struct{ membershipFlags }

// Help returns the long help with examples.
func (topicsListCmd) Help() string {
	return `Examples:

    ccs topics list
    ccs topics list --sender 123456789012 --json
`
}

// Run prints the topics.
func (c *topicsListCmd) Run(ctx context.Context, out *output) error {
	return c.with(ctx, func(m server.Memberships) error {
		list, err := m.Topics(ctx, c.Sender)
		switch {
		case err != nil:
			return err
		case c.JSON:
			return out.json(list)
		case len(list.Topics) == 0:
			out.note("no topics yet: subscribe a device with: ccs topics add TOPIC TOKEN")
		}
		for _, t := range list.Topics {
			if err := out.printf("%s  %d subscribers\n", t.Name, t.Subscribers); err != nil {
				return err
			}
		}
		for _, f := range list.InProgress {
			err := out.printf("message %d in progress since %s  %d copied  %d dropped\n", f.ID, f.Accepted.Local().Format(time.DateTime), f.Copied, f.Dropped)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

type topicsShowCmd struct {
	membershipFlags
	Topic string `arg:"" help:"Name of the topic."`
	Max   int    `default:"1000" placeholder:"N" help:"Maximum number of subscribers to print."`
}

// Help returns the long help with examples.
func (topicsShowCmd) Help() string {
	return `Examples:

    ccs topics show news
    ccs topics show news --max 100000 --json
`
}

// Run prints the subscribers.
func (c *topicsShowCmd) Run(ctx context.Context, out *output) error {
	return c.with(ctx, func(m server.Memberships) error {
		all, err := m.Subscribers(ctx, c.Sender, topicName(c.Topic), c.Max)
		switch {
		case err != nil:
			return err
		case c.JSON:
			return out.json(all)
		}
		for _, s := range all {
			if err := out.printf("%s  since %s\n", s.Token, s.Since.Local().Format(time.DateTime)); err != nil {
				return err
			}
		}
		return nil
	})
}

// topicName returns the name of a topic that may be written as its address.
func topicName(s string) string { return strings.TrimPrefix(s, "/topics/") }

type topicsAddCmd struct{ topicChange }

// Help returns the long help with examples.
func (topicsAddCmd) Help() string {
	return `The exit code is 1 if a token could not be subscribed.

Examples:

    ccs topics add news TOKEN
`
}

// Run subscribes the tokens.
func (c *topicsAddCmd) Run(ctx context.Context, out *output) error { return c.run(ctx, out, false) }

type topicsRemoveCmd struct{ topicChange }

// Help returns the long help with examples.
func (topicsRemoveCmd) Help() string {
	return `A token that is not subscribed is no error.

Examples:

    ccs topics remove news TOKEN
`
}

// Run unsubscribes the tokens.
func (c *topicsRemoveCmd) Run(ctx context.Context, out *output) error { return c.run(ctx, out, true) }

type topicChange struct {
	membershipFlags
	Topic  string   `arg:"" help:"Name of the topic."`
	Tokens []string `arg:"" name:"token" help:"Registration tokens."`
}

func (c *topicChange) run(ctx context.Context, out *output, leave bool) error {
	return c.with(ctx, func(m server.Memberships) error {
		all, err := m.ChangeTopic(ctx, c.Sender, topicName(c.Topic), leave, c.Tokens)
		if err != nil {
			return err
		}
		failed := 0
		for _, one := range all {
			if one.Error != "" {
				failed++
			}
		}
		if c.JSON {
			err = out.json(all)
		} else {
			for _, one := range all {
				if one.Error != "" {
					out.note("%s: %s", one.Token, one.Error)
				}
			}
			done := "subscribed"
			if leave {
				done = "unsubscribed"
			}
			err = out.printf("%s: %d %s\n", topicName(c.Topic), len(all)-failed, done)
		}
		if err == nil && failed > 0 {
			err = fmt.Errorf("%d of %d tokens failed", failed, len(all))
		}
		return err
	})
}

type groupsCmd struct {
	List   groupsListCmd   `cmd:"" help:"Device groups of a project."`
	Create groupsCreateCmd `cmd:"" help:"Creation of a device group."`
	Add    groupsAddCmd    `cmd:"" help:"Addition of members to a device group."`
	Remove groupsRemoveCmd `cmd:"" help:"Removal of members from a device group."`
}

type groupsListCmd struct{ membershipFlags }

// Help returns the long help with examples.
func (groupsListCmd) Help() string {
	return `Examples:

    ccs groups list
    ccs groups list --sender 123456789012 --json
`
}

// Run prints the groups.
func (c *groupsListCmd) Run(ctx context.Context, out *output) error {
	return c.with(ctx, func(m server.Memberships) error {
		all, err := m.Groups(ctx, c.Sender)
		switch {
		case err != nil:
			return err
		case c.JSON:
			return out.json(all)
		case len(all) == 0:
			out.note("no groups yet: make one with: ccs groups create NAME TOKEN")
		}
		for i := range all {
			if err := printGroup(out, &all[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func printGroup(out *output, g *server.Group) error {
	return out.printf("%s  %d members  %s\n", g.Name, len(g.Members), g.Key)
}

type groupChange struct {
	membershipFlags
	Name   string   `arg:"" help:"Name of the group."`
	Tokens []string `arg:"" name:"token" help:"Registration tokens."`
}

func (c *groupChange) run(ctx context.Context, out *output, operation string) error {
	return c.with(ctx, func(m server.Memberships) error {
		g, err := m.ChangeGroup(ctx, c.Sender, c.Name, operation, c.Tokens)
		switch {
		case err != nil:
			return err
		case c.JSON:
			return out.json(g)
		}
		return printGroup(out, g)
	})
}

type groupsCreateCmd struct{ groupChange }

// Help returns the long help with examples.
func (groupsCreateCmd) Help() string {
	return `Prints the notification key, which is the target of messages to the group.

Examples:

    ccs groups create user-7 TOKEN1 TOKEN2
    ccs send NOTIFICATION_KEY greeting=hello
`
}

// Run makes the group.
func (c *groupsCreateCmd) Run(ctx context.Context, out *output) error {
	return c.run(ctx, out, "create")
}

type groupsAddCmd struct{ groupChange }

// Help returns the long help with examples.
func (groupsAddCmd) Help() string {
	return `Examples:

    ccs groups add user-7 TOKEN3
`
}

// Run adds the members.
func (c *groupsAddCmd) Run(ctx context.Context, out *output) error { return c.run(ctx, out, "add") }

type groupsRemoveCmd struct{ groupChange }

// Help returns the long help with examples.
func (groupsRemoveCmd) Help() string {
	return `The group is gone when its last member is removed.

Examples:

    ccs groups remove user-7 TOKEN3
`
}

// Run removes the members.
func (c *groupsRemoveCmd) Run(ctx context.Context, out *output) error {
	return c.run(ctx, out, "remove")
}
