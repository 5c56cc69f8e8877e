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

// Help shows how it is called.
func (listenCmd) Help() string {
	return `Acknowledges a message after it has been printed, so that a broken pipe loses nothing. Connects
again when a connection ends.

Examples:

    ccs listen
    ccs listen --json | jq .data
    ccs listen --xmpp push.example.org:5235 --ca ca.pem --sender 123456789012 --key AIza…
`
}

// Run prints until it is interrupted.
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
	// What cannot be printed must end the command, whoever finds out first.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l := &listener{out: out, asJSON: c.JSON, fail: cancel}
	dial := func(ctx context.Context) (connection, error) {
		return ccsclient.Dial(ctx, c.XMPP, c.Sender, c.Key, l.options(conf, log))
	}
	err = l.run(ctx, dial)
	return explainDial(err, c.Data)
}

// connection is what a listener needs of a client.
type connection interface {
	Done() <-chan struct{}
	Err() error
	Close() error
}

// listener prints what app servers get.
type listener struct {
	out    *output
	asJSON bool
	fail   func(error) // ends run
}

// run connects, and connects again when a connection ends. It returns nil when interrupted. A first
// connection that fails is an error: nothing says that the address is right.
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

// isFinal reports whether to try again is in vain: the server has refused the key, for good.
func isFinal(err error) bool {
	var refused *ccsclient.AuthError
	return errors.As(err, &refused) && !refused.Temporary() // CCS 1.6
}

// interruption is why ctx ended: nil when the user asked for it.
func interruption(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// The waits between attempts to connect.
const (
	backoffFirst = 500 * time.Millisecond
	backoffMost  = 15 * time.Second
)

// backoff doubles with every failure, less up to a third so that many clients don't come back in step.
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
