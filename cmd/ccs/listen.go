package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/openccs/openccs/ccs/ccsclient"
)

type listenCmd struct {
	appServerFlags
	JSON     bool   `help:"Output as JSON, one object a line. Default: text."`
	LogLevel string `default:"warn" enum:"debug,info,warn,error" placeholder:"LEVEL" help:"Minimum log level: debug, info, warn or error."`
}

// Help returns the long help with examples.
func (listenCmd) Help() string {
	return `Acknowledges a message after it has been printed, so that a broken pipe loses nothing. Connects
again when a connection ends.

Examples:

    ccs listen
    ccs listen --json | jq .data
    ccs listen --xmpp push.example.org:5235 --ca ca.pem --sender 123456789012 --key AIza…
`
}

// Run prints messages until it is interrupted.
func (c *listenCmd) Run(ctx context.Context, out *output) error {
	if err := c.resolve(); err != nil {
		return err
	}
	conf, err := clientTLS(c.CA)
	if err != nil {
		return err
	}
	log, err := newLogger(out, c.LogLevel, "auto")
	if err != nil {
		return err
	}
	// A failed print must end the command, no matter which goroutine notices it first.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l := &listener{out: out, asJSON: c.JSON, fail: cancel}
	dial := func(ctx context.Context) (connection, error) {
		return ccsclient.Dial(ctx, c.XMPP, c.Sender, c.Key, l.options(conf, log))
	}
	err = l.run(ctx, dial)
	return explainDial(err, c.Data)
}

// connection is the part of a client that a listener needs.
type connection interface {
	Done() <-chan struct{}
	Err() error
	Close() error
}

// listener prints the messages to app servers.
type listener struct {
	out    *output
	asJSON bool
	fail   func(error) // ends run
}

// run connects, and connects again when a connection ends. It returns nil when interrupted. A
// failed first connection is an error, because the address may be wrong.
func (l *listener) run(ctx context.Context, dial func(context.Context) (connection, error)) error {
	connected := false
	for failures := 0; ; {
		conn, err := dial(ctx)
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return interruption(ctx)
		case err != nil && (!connected || isFinal(err)):
			return err
		case err == nil:
			connected, failures = true, 0
			if err := printConnected(l.out, l.asJSON); err != nil {
				return errors.Join(err, conn.Close())
			}
			select {
			case <-ctx.Done():
				return errors.Join(interruption(ctx), conn.Close())
			case <-conn.Done():
				err = conn.Err()
			}
		}
		if err := printDisconnected(l.out, l.asJSON, err); err != nil {
			return err
		}
		failures++
		select {
		case <-ctx.Done():
			return interruption(ctx)
		case <-time.After(backoff(failures)):
		}
	}
}

// isFinal reports whether another attempt is useless: the server has refused the key permanently.
func isFinal(err error) bool {
	var refused *ccsclient.AuthError
	return errors.As(err, &refused) && !refused.Temporary() // CCS 1.6
}

// interruption returns the reason why ctx ended, or nil if the user asked for it.
func interruption(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// Limits of the wait between attempts to connect.
const (
	backoffFirst = 500 * time.Millisecond
	backoffMost  = 15 * time.Second
)

// backoff doubles the wait with every failure, minus a random part of up to a third. So many
// clients do not come back at the same time.
func backoff(failures int) time.Duration {
	wait := backoffMost
	if failures < 6 {
		wait = min(backoffFirst<<(failures-1), backoffMost)
	}
	return wait - rand.N(wait/3)
}

func printConnected(out *output, asJSON bool) error {
	if asJSON {
		return out.json(map[string]string{"event": "connected"})
	}
	out.note("connected")
	return nil
}

func printDisconnected(out *output, asJSON bool, reason error) error {
	text := "closed by the server"
	if reason != nil {
		text = reason.Error()
	}
	if asJSON {
		return out.json(struct {
			Event  string `json:"event"`
			Reason string `json:"reason"`
		}{"disconnected", text})
	}
	out.note("disconnected: %s", text)
	return nil
}
