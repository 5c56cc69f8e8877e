package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/openccs/openccs/ccs/card/atomicfile"
)

// output writes the output of a command. It may be used from any goroutine.
type output struct {
	program string // name under which the user called ccs, for commands to paste

	mu     sync.Mutex
	stdout io.Writer
	stderr io.Writer
}

// json prints one object on its own line. Every line is one write, so that the reader of a pipe
// gets it at once.
func (o *output) json(v any) error {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	return o.printf("%s", b.String())
}

// printf prints a result.
func (o *output) printf(format string, args ...any) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, err := fmt.Fprintf(o.stdout, format, args...)
	return err
}

// Write writes to stdout, for values that print themselves.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stdout.Write(b)
}

// note prints a message to stderr that is no result.
func (o *output) note(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for line := range strings.Lines(fmt.Sprintf(format, args...)) {
		fmt.Fprintf(o.stderr, "ccs: %s\n", strings.TrimSuffix(line, "\n"))
	}
}

// checkWritable reports before the work whether ccs can write the file at a path. It accepts "" as
// no file.
func checkWritable(path string) error {
	if path == "" {
		return nil
	}
	f, err := atomicfile.Create(path)
	if err != nil {
		return err
	}
	return f.Abort()
}

// isTerminal reports whether a person reads w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// usageError says that the command was called wrongly. It leads to exit code 2.
type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// hintedError is an error with a hint for the user.
type hintedError struct {
	err  error
	hint string
}

func (e *hintedError) Error() string { return e.err.Error() }
func (e *hintedError) Unwrap() error { return e.err }

// errSilent ends a command with exit code 1 after the command has printed the problem itself.
var errSilent = errors.New("failed")

// errMissed ends ccs load after it has printed the missed thresholds.
var errMissed = errors.New("missed")

// fail prints an error and returns the exit code.
func (o *output) fail(err error) int {
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errSilent):
		return exitFailed
	case errors.Is(err, errMissed):
		return exitMissed
	case errors.Is(err, context.Canceled):
		o.note("interrupted")
		return exitFailed
	}
	o.note("%v", err)
	var usage *usageError
	var hinted *hintedError
	switch {
	case errors.As(err, &usage):
		if usage.hint != "" {
			o.note("hint: %s", usage.hint)
		}
		return exitUsage
	case errors.As(err, &hinted):
		o.note("hint: %s", hinted.hint)
	}
	return exitFailed
}
