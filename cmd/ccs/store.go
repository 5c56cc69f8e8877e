package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/openccs/openccs/ccs/server"
	"github.com/openccs/openccs/store"
)

type storeCmd struct {
	Copy   storeCopyCmd   `cmd:"" help:"Copy of one store into another."`
	Verify storeVerifyCmd `cmd:"" help:"Verification of all files of an embedded store."`
	Repair storeRepairCmd `cmd:"" help:"Repair of a damaged embedded store, which saves all readable data."`
}

type storeCopyCmd struct {
	From       string `required:"" placeholder:"STORE" help:"Source of the copy: a data directory, or a URL as for ccs serve --store. No server may run on it."`
	To         string `required:"" placeholder:"STORE" help:"Target of the copy: a data directory or a URL. It must be empty or come from an interrupted copy."`
	Checkpoint string `placeholder:"FILE" help:"File for the progress of the copy. Default: a file beside the directory of --from, or else of --to."`
	Verify     bool   `help:"Comparison of both stores after the copy. A resumed copy is always verified. Default: off."`
	JSON       bool   `help:"Output as one JSON object. Default: text."`
}

// Help returns the long help with examples.
func (storeCopyCmd) Help() string {
	return `Copies projects with their keys and limits, OAuth clients and refresh tokens, the apps, channels and daily
counts of GCM for Chrome, the secrets that identify devices and access tokens, registrations, waiting messages,
and the IDs by which repeats are known (remembered).
Devices and app servers log in afterwards as before. Expired entries are not copied.

An interrupted copy continues when the same command is run again. The source store stays unchanged. Do not
start a server on it again.

Examples:

    ccs store copy --from data --to /srv/ccs --verify
    ccs store copy --from data --to redis://redis.example.org:6379 --verify
    ccs store copy --from redis://redis.example.org:6379 --to disk:/srv/ccs-store --json
`
}

// Run copies and prints the counts.
func (c *storeCopyCmd) Run(ctx context.Context, out *output) (err error) {
	from, err := newSide("from", c.From)
	if err != nil {
		return err
	}
	to, err := newSide("to", c.To)
	if err != nil {
		return err
	}
	path := cmp.Or(c.Checkpoint, from.checkpoint(), to.checkpoint())
	switch {
	case from.name() == to.name():
		return &usageError{err: fmt.Errorf("--from and --to are the same store")}
	case path == "":
		return &usageError{err: errors.New("--checkpoint: name a file, for there is no directory to put it beside")}
	}
	if dir := from.dir; dir != "" {
		if _, err := os.Stat(dir); err != nil {
			return &hintedError{err: fmt.Errorf("--from: %w", err), hint: "name the data directory of a server, or the URL of its store"}
		}
	}
	run := copying{out: out, verify: c.Verify, now: time.Now()}
	if run.checkpoint, err = openCheckpoint(path, from, to); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, run.close()) }()
	if run.from, err = from.open(ctx); err != nil {
		return err
	}
	if run.to, err = to.open(ctx); err != nil {
		return err
	}
	r, err := run.run(ctx)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return out.json(r)
	}
	return out.printf("%s\n", r)
}

// side is one end of a copy.
type side struct {
	flag string
	conf server.Config
	dir  string // directory of the embedded store, "" for another kind of store
}

// newSide parses a data directory or a store URL.
func newSide(flag, value string) (s side, err error) {
	s = side{flag: flag, conf: server.Default()}
	s.conf.AllowEviction = true // only the server refuses such a Redis
	s.conf.DataDir = value
	scheme, rest, isURL := strings.Cut(value, ":")
	switch {
	case value == "":
		return side{}, s.wrong(value, "names no store", "give a data directory, or a URL such as disk:DIR")
	case isURL && !strings.Contains(scheme, "/"):
		s.conf.DataDir, s.conf.Store = "", value
		if rest == "" {
			return side{}, s.wrong(value, "names no store that can be copied", "give a data directory, or a URL such as disk:DIR")
		}
	}
	if s.dir = server.StoreDir(s.conf); s.dir == "" {
		return s, nil
	}
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		return side{}, err
	}
	if real, err := filepath.EvalSymlinks(s.dir); err == nil {
		s.dir = real
	}
	return s, nil
}

func (s side) wrong(value, problem, mend string) error {
	return &usageError{err: fmt.Errorf("--%s %q: %s", s.flag, value, problem), hint: mend}
}

// name returns a name that identifies the store.
func (s side) name() string { return cmp.Or(s.dir, s.conf.Store) }

// checkpoint returns the default checkpoint file, or "" if there is no directory beside which to
// put it.
func (s side) checkpoint() string {
	if s.dir == "" {
		return ""
	}
	return s.dir + ".copy.json"
}

func (s side) open(ctx context.Context) (store.Store, error) {
	st, err := server.OpenStore(ctx, s.conf)
	var bad *server.ConfigError
	switch {
	case errors.As(err, &bad):
		return nil, s.wrong(bad.Value, bad.Problem, bad.Mend)
	case err != nil:
		return nil, fmt.Errorf("--%s: %w", s.flag, err)
	}
	if _, ok := st.(store.Movable); !ok {
		return nil, errors.Join(fmt.Errorf("--%s: a store of this kind cannot be copied", s.flag), st.Close())
	}
	return st, nil
}
