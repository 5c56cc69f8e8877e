package ccstest

import (
	"fmt"
	"os"
)

// TB is what a Server needs of a test. *testing.T and *testing.B have it.
type TB interface {
	Helper()
	Cleanup(func())
	TempDir() string
	Fatalf(format string, args ...any)
}

// Run starts a server outside of a test, calls f, and stops the server. Its error says what the server or a method of
// Server could not do. Do not call Server's methods from other goroutines than f's.
func Run(f func(*Server), opts ...Option) (err error) {
	t := &noTest{}
	defer func() {
		t.cleanUp(&err)
	}()
	defer t.recover(&err)
	f(Start(t, opts...))
	return nil
}

// noTest is a TB where there is no test.
type noTest struct{ cleanups []func() }

// fatal is what Fatalf panics with.
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

// recover turns the panic of Fatalf into an error, unless there is one already.
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
