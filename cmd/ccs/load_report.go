package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"openccs/ccs/load"
)

// loadReports are who is told about a run, and what has to be closed behind them.
type loadReports struct {
	list  []load.Reporter
	files []io.Closer
}

// reports makes the reporters that the flags ask for.
func (c *loadRunCmd) reports(out *output) (*loadReports, error) {
	r := &loadReports{list: []load.Reporter{&loadLines{out: out}}}
	if c.HDRLog != "" {
		f, err := os.Create(c.HDRLog)
		if err != nil {
			return nil, fmt.Errorf("--hdr-log: %w", err)
		}
		r.files = append(r.files, f)
		r.list = append(r.list, load.NewHistogramLog(f))
	}
	if c.JSON {
		r.list = append(r.list, loadJSON{out})
	} else {
		r.list = append(r.list, loadSummary{out})
	}
	return r, nil
}

func (r *loadReports) close() error {
	var errs []error
	for _, f := range r.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// quiet is a reporter that says nothing; others are it but for what they say.
type quiet struct{}

func (quiet) Progress(string, int, int) error { return nil }
func (quiet) Sample(*load.Sample) error       { return nil }
func (quiet) Result(*load.Result) error       { return nil }

// loadJSON prints the result as one object.
type loadJSON struct{ out *output }

func (loadJSON) Progress(string, int, int) error { return nil }
func (loadJSON) Sample(*load.Sample) error       { return nil }
func (j loadJSON) Result(r *load.Result) error   { return j.out.json(r) }

// loadSummary prints the result for a person.
type loadSummary struct {
	out *output
}

func (loadSummary) Progress(string, int, int) error { return nil }
func (loadSummary) Sample(*load.Sample) error       { return nil }
func (s loadSummary) Result(r *load.Result) error   { return s.out.printf("%s", r.Summary()) }

// loadLines says a line a second.
type loadLines struct {
	quiet
	out *output
}

func (l *loadLines) Sample(s *load.Sample) error {
	l.out.note("%s", s)
	return nil
}
