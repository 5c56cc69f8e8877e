package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/openccs/openccs/ccs/admin"
)

type drainCmd struct {
	dataFlag
	Sender     string `placeholder:"ID" env:"" help:"Sender ID of the connections to drain. Default: all senders."`
	Connection string `placeholder:"ADDRESS" help:"Connection to drain: its bound address or the part after the slash, as in the log of the server. Default: all connections."`
	JSON       bool   `help:"Output as one JSON object. Default: text."`
}

// Help returns the long help with examples.
func (drainCmd) Help() string {
	return `Asks app servers to move to another connection. A draining connection gets CONNECTION_DRAINING and no new
messages. It is closed when nothing is in flight. The command does not wait for that.

Examples:

    ccs drain
    ccs drain --sender 123456789012
    ccs drain --connection 123456789012@gcm.googleapis.com/4F2A90C1
`
}

// Run starts the draining and prints the number of connections.
func (c *drainCmd) Run(ctx context.Context, out *output) error {
	client, err := admin.Dial(c.Data)
	if errors.Is(err, admin.ErrNoServer) {
		return fmt.Errorf("no server runs on --data %q, so that there is nothing to drain: %w", c.Data, err)
	}
	if err != nil {
		return err
	}
	defer client.Close()
	n, err := client.Drain(ctx, c.Sender, c.Connection)
	if err != nil {
		return err
	}
	if c.JSON {
		return out.json(struct {
			Connections int `json:"connections"`
		}{n})
	}
	return out.printf("draining %d\n", n)
}
