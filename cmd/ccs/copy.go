package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/openccs/openccs/store"
)

// copying is a run of ccs store copy.
type copying struct {
	from, to   store.Store // store.Movable
	checkpoint *checkpoint
	verify     bool
	now        time.Time // entries that have expired by now count in neither store
	out        *output

	progress atomic.Pointer[string]
}

// copied is the result of a copy. It is part of the contract with scripts.
type copied struct {
	counts
	Resumed  bool `json:"resumed"`
	Verified bool `json:"verified"`
}

// String returns the result for a person.
func (r *copied) String() string {
	s := r.counts.String()
	if r.Verified {
		s += "; both stores have the same"
	}
	return s
}

func (c *copying) close() error {
	var errs []error
	for _, st := range []store.Store{c.from, c.to} {
		if st != nil {
			errs = append(errs, st.Close())
		}
	}
	return errors.Join(errs...)
}

// run copies the remaining entries.
func (c *copying) run(ctx context.Context) (*copied, error) {
	c.tell("looking at both stores")
	defer c.out.showProgress(func() string { return *c.progress.Load() })()
	if done, err := c.begin(ctx); done != nil || err != nil {
		return done, err
	}
	if err := c.pages(ctx); err != nil {
		return nil, err
	}
	if err := c.presence(ctx); err != nil {
		return nil, err
	}
	cp := c.checkpoint
	if err := cp.remove(); err != nil {
		return nil, err
	}
	r := &copied{counts: cp.Counts, Resumed: cp.resumed}
	if !c.verify && !cp.resumed {
		return r, nil
	}
	var err error
	if r.counts, err = c.compare(ctx); err != nil {
		return nil, err
	}
	r.Verified = true
	return r, nil
}

// begin checks whether the target may be copied into. If the target has everything already, begin
// returns the result.
func (c *copying) begin(ctx context.Context) (*copied, error) {
	empty := true
	for p, err := range c.to.(store.Movable).Dump(ctx, "", c.now) {
		if err != nil {
			return nil, fmt.Errorf("read --to: %w", err)
		}
		if empty = p.Len() == 0; !empty {
			break
		}
	}
	switch {
	case empty:
		return nil, c.checkpoint.begin()
	case c.checkpoint.resumed:
		c.out.note("resumed: %s are copied already", c.checkpoint.Counts)
		return nil, nil
	}
	there, err := c.compare(ctx)
	if err == nil {
		c.out.note("--to has all of it already")
		return &copied{counts: there, Verified: true}, nil
	}
	var differ *differError
	if errors.As(err, &differ) {
		err = &hintedError{
			err:  fmt.Errorf("--to: %w: it has %s", store.ErrExists, differ.to),
			hint: "copy into an empty store: devices and projects of the one that is there would be mixed up with those of --from",
		}
	}
	return nil, err
}

// pages copies all pages, one at a time.
func (c *copying) pages(ctx context.Context) error {
	cp := c.checkpoint
	for p, err := range c.from.(store.Movable).Dump(ctx, cp.Next, c.now) {
		if err == nil {
			err = c.to.(store.Movable).Restore(ctx, p, c.now)
		}
		if err != nil {
			if ctx.Err() != nil {
				c.out.note("copied so far: %s; run the same command again to go on", cp.Counts)
			}
			return errors.Join(err, cp.save())
		}
		cp.Queue = cp.Counts.add(p, cp.Queue)
		cp.Next = p.Next
		c.tell("copied %d registrations, %d messages", cp.Counts.Registrations, cp.Counts.Messages)
		if err := cp.saveNowAndThen(); err != nil {
			return err
		}
	}
	return nil
}

// presence copies the list of devices that are expected back, if both stores have one.
func (c *copying) presence(ctx context.Context) error {
	from, ok := c.from.(store.Presence)
	to, both := c.to.(store.Presence)
	if !ok || !both {
		return nil
	}
	keys, err := from.Present(ctx)
	if err != nil {
		return fmt.Errorf("list devices that were connected: %w", err)
	}
	for _, k := range keys {
		if err := to.SetPresent(ctx, k, true); err != nil {
			return fmt.Errorf("note a device that was connected: %w", err)
		}
	}
	return nil
}

// differError says that two stores have different entries.
type differError struct{ from, to counts }

func (e *differError) Error() string {
	return fmt.Sprintf("the stores differ\n--from: %s\n--to:   %s", e.from, e.to)
}

// compare counts the entries of both stores. It returns a *differError if they differ.
func (c *copying) compare(ctx context.Context) (counts, error) {
	from, fromDigest, err := c.read(ctx, c.from, "--from")
	if err != nil {
		return counts{}, err
	}
	to, toDigest, err := c.read(ctx, c.to, "--to")
	if err != nil {
		return counts{}, err
	}
	if from != to || fromDigest != toDigest {
		return counts{}, &differError{from, to}
	}
	return from, nil
}

func (c *copying) read(ctx context.Context, st store.Store, name string) (n counts, d store.Digest, err error) {
	queue := ""
	for p, err := range st.(store.Movable).Dump(ctx, "", c.now) {
		if err != nil {
			return n, d, fmt.Errorf("read %s: %w", name, err)
		}
		queue = n.add(p, queue)
		d.Add(p)
		c.tell("compared %d registrations, %d messages of %s", n.Registrations, n.Messages, name)
	}
	return n, d, nil
}

// tell sets the progress line, which showProgress shows if the command takes long.
func (c *copying) tell(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	c.progress.Store(&line)
}
