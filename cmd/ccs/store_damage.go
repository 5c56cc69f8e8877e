package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
)

// damagedStore is the store that a command examines. No server may run on it.
type damagedStore struct {
	Data string `default:"${data}" placeholder:"STORE" help:"Data directory of the server, or the URL of its embedded store, such as disk:DIR."`
	JSON bool   `help:"Output as one JSON object. Default: text."`
}

// open returns the directory of the store, and options that show the progress of a long
// verification.
func (d *damagedStore) open(out *output) (dir string, o diskstore.Options, done func(), err error) {
	s, err := newSide("data", d.Data)
	switch {
	case err != nil:
		return "", o, nil, err
	case s.dir == "":
		return "", o, nil, &usageError{err: fmt.Errorf("--data %q: not an embedded store", d.Data), hint: "name a data directory, or a URL such as disk:DIR"}
	}
	if _, err := os.Stat(s.dir); err != nil {
		return "", o, nil, &hintedError{err: fmt.Errorf("--data: %w", err), hint: "name the data directory of a server"}
	}
	var progress atomic.Pointer[string]
	first := "verifying tables"
	progress.Store(&first)
	o.Report = func(format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		progress.Store(&line)
	}
	return s.dir, o, out.showProgress(func() string { return *progress.Load() }), nil
}

func explainLocked(err error) error {
	if errors.Is(err, store.ErrLocked) {
		return &hintedError{err: err, hint: "stop the server first"}
	}
	return err
}

type storeVerifyCmd struct {
	damagedStore
}

// Help returns the long help with examples.
func (storeVerifyCmd) Help() string {
	return `Reads manifest, logs and the checksums of all tables, and names each damaged file with the range of keys
and queues that cannot be read. Nothing is changed. The exit code is 1 if anything is damaged.

Examples:

    ccs store verify --data /srv/ccs
    ccs store verify --data disk:/srv/ccs-store --json
`
}

// Run verifies the store and prints the damage.
func (c *storeVerifyCmd) Run(ctx context.Context, out *output) error {
	dir, o, done, err := c.open(out)
	if err != nil {
		return err
	}
	r, err := diskstore.Verify(ctx, dir, o)
	done()
	switch {
	case err != nil:
		return explainLocked(err)
	case c.JSON:
		if r.Damages == nil {
			r.Damages = []diskstore.Damage{}
		}
		err = out.json(r)
	default:
		err = out.printf("%s", verified(r))
	}
	if err == nil && len(r.Damages) > 0 {
		return errSilent
	}
	return err
}

// verified returns the result for a person.
func verified(r *diskstore.Report) string {
	var b strings.Builder
	for _, d := range r.Damages {
		fmt.Fprintf(&b, "%s\n", d)
	}
	if r.Torn != "" {
		fmt.Fprintf(&b, "%s\n", r.Torn)
	}
	fmt.Fprintf(&b, "%d tables with %d MiB and %d logs: ", r.Tables, r.Bytes>>20, r.Logs)
	switch n := len(r.Damages); n {
	case 0:
		b.WriteString("whole\n")
	case 1:
		b.WriteString("1 file is damaged\n")
	default:
		fmt.Fprintf(&b, "%d files are damaged\n", n)
	}
	return b.String()
}

type storeRepairCmd struct {
	damagedStore
	Yes bool `help:"Repair without confirmation. Default: ask."`
}

// Help returns the long help with examples.
func (storeRepairCmd) Help() string {
	return `Shows the damage and the expected loss, asks for confirmation, and then repairs the store: readable parts of
damaged tables and logs are saved in new files, and the manifest is written again. Damaged files are moved
into a new directory beside the store. An acknowledged message may be delivered again if the record of its
acknowledgement is lost.

Examples:

    ccs store repair --data /srv/ccs
    ccs store repair --data /srv/ccs --yes
`
}

// Run repairs the store and prints the loss.
func (c *storeRepairCmd) Run(ctx context.Context, out *output) error {
	dir, o, done, err := c.open(out)
	if err != nil {
		return err
	}
	ask := func(plan diskstore.Repaired) (bool, error) {
		done()
		done = func() {}
		for _, d := range plan.Damages {
			out.note("%s", d)
		}
		for _, lost := range plan.Lost {
			out.note("will be lost: %s", lost)
		}
		if c.Yes {
			return true, nil
		}
		if isTerminal(os.Stdin) {
			out.note("repair? type yes")
			line, err := bufio.NewReader(os.Stdin).ReadString('\n')
			if err == nil {
				return strings.TrimSpace(line) == "yes", nil
			}
		}
		return false, &usageError{err: errors.New("there is nobody to ask"), hint: "give --yes to repair without asking"}
	}
	r, err := diskstore.Repair(ctx, dir, o, ask)
	done()
	switch {
	case err != nil:
		return explainLocked(err)
	case c.JSON:
		return out.json(r)
	case len(r.Damages) == 0:
		return out.printf("nothing is damaged\n")
	}
	var b strings.Builder
	for _, lost := range r.Lost {
		fmt.Fprintf(&b, "lost: %s\n", lost)
	}
	return out.printf("%srepaired; damaged files are in %s\n", &b, r.Aside)
}
