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

// output is where a command's words go. It may be used from any goroutine.
type output struct {
	program string // how the user called us, for commands to paste

	mu     sync.Mutex
	stdout io.Writer
	stderr io.Writer
}

// json prints one object on a line of its own. Every line is one write, so that whoever reads the pipe
// has it at once.
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

// Write passes on what prints itself to stdout.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stdout.Write(b)
}

// note tells the person at the terminal something that is no result.
func (o *output) note(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for line := range strings.Lines(fmt.Sprintf(format, args...)) {
		fmt.Fprintf(o.stderr, "ccs: %s\n", strings.TrimSuffix(line, "\n"))
	}
}

// checkWritable finds before the work that the file at a path could not be written after it. "" is no file.
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

// usageError says that the command was called wrongly: exit code 2.
type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// hintedError is an error with something to try.
type hintedError struct {
	err  error
	hint string
}

func (e *hintedError) Error() string { return e.err.Error() }
func (e *hintedError) Unwrap() error { return e.err }

// errSilent ends a command with exit code 1 after it has said itself what was wrong.
var errSilent = errors.New("failed")

// errMissed ends ccs load after it has said which thresholds were missed.
var errMissed = errors.New("missed")

// fail says what went wrong and returns the exit code.
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
