package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/openccs/openccs/ccs/admin"
)

type drainCmd struct {
	dataFlag
	Sender     string `placeholder:"ID" env:"" help:"Only connections of this sender ID."`
	Connection string `placeholder:"ADDRESS" help:"Only this connection: its bound address, or the part behind the slash, as the server's log has it."`
	JSON       bool   `help:"Print one JSON object."`
}

// Help shows how it is called.
func (drainCmd) Help() string {
	return `Tells app servers to go on over another connection. A draining connection gets CONNECTION_DRAINING, nothing
new, and its end when nothing is outstanding. The command returns once the order is given.

Examples:

    ccs drain
    ccs drain --sender 123456789012
    ccs drain --connection 123456789012@gcm.googleapis.com/4F2A90C1
`
}

// Run gives the order and prints how many connections it reached.
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
