package ccstest

import (
	"fmt"
	"os"
)

// TB is the part of a test that a Server needs. *testing.T and *testing.B implement it.
type TB interface {
	Helper()
	Cleanup(func())
	TempDir() string
	Fatalf(format string, args ...any)
}

// Run starts a server outside of a test, calls f, and stops the server. It returns an error if the
// server or a method of Server failed. Only the goroutine of f may call the methods of Server.
func Run(f func(*Server), opts ...Option) (err error) {
	t := &noTest{}
	defer func() {
		t.cleanUp(&err)
	}()
	defer t.recover(&err)
	f(Start(t, opts...))
	return nil
}

// noTest is a TB for use outside of a test.
type noTest struct{ cleanups []func() }

// fatal is the value with which Fatalf panics.
type fatal struct {
	text  string
	cause error // the last error among the arguments, if any
}

func (f *fatal) Error() string { return f.text }
func (f *fatal) Unwrap() error { return f.cause }

func (t *noTest) Helper()          {}
func (t *noTest) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

func (t *noTest) Fatalf(format string, args ...any) {
	f := &fatal{text: fmt.Sprintf(format, args...)}
	for _, a := range args {
		if err, ok := a.(error); ok {
			f.cause = err
		}
	}
	panic(f)
}

func (t *noTest) TempDir() string {
	dir, err := os.MkdirTemp("", "ccstest-*")
	if err != nil {
		t.Fatalf("ccstest: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// recover turns the panic of Fatalf into an error, unless there is already one.
func (t *noTest) recover(err *error) {
	switch r := recover().(type) {
	case nil:
	case *fatal:
		if *err == nil {
			*err = r
		}
	default:
		panic(r)
	}
}

func (t *noTest) cleanUp(err *error) {
	for len(t.cleanups) > 0 {
		f := t.cleanups[len(t.cleanups)-1]
		t.cleanups = t.cleanups[:len(t.cleanups)-1]
		func() {
			defer t.recover(err)
			f()
		}()
	}
}
