package server

import (
	"os"
	"runtime"

	"github.com/openccs/openccs/ccs"
)

// turns gives each processor's worth of long work its turn, and lets all short work go first.
//
// The Go scheduler looks for data on connections only when a processor has nothing else to run, or after ten
// milliseconds. A goroutine that yields, or wakes another, leaves its processor something to run. With enough long
// work, a connection with little traffic would so wait ten milliseconds for each read. A turn is therefore handed
// over through a pipe: its other end is ready only when the scheduler looks for data, and then so is all the rest.
type turns struct {
	*ccs.Turns
	in, out *os.File // nil on a network in memory, which the scheduler need not look at
	ended   chan struct{}
}

func newTurns(n Network) (*turns, error) {
	if n != (tcp{}) {
		return &turns{Turns: ccs.NewTurns(runtime.GOMAXPROCS(0), nil)}, nil
	}
	t := &turns{ended: make(chan struct{})}
	var err error
	if t.in, t.out, err = os.Pipe(); err != nil {
		return nil, err
	}
	t.Turns = ccs.NewTurns(runtime.GOMAXPROCS(0), t.handOff)
	go t.run()
	return t, nil
}

// handOff has run begin the next turn. The pipe has room for a byte for each turn that there is.
func (t *turns) handOff() {
	if _, err := t.out.Write([]byte{0}); err != nil {
		t.Next() // after close
	}
}

func (t *turns) run() {
	defer close(t.ended)
	var b [64]byte
	for {
		n, err := t.in.Read(b[:])
		for range n {
			t.Next()
		}
		if err != nil {
			return
		}
	}
}

// close ends handing over through the pipe; turns go on without it.
func (t *turns) close() error {
	if t.out == nil {
		return nil
	}
	err := t.out.Close()
	<-t.ended // the rest of the pipe is read first
	t.in.Close()
	return err
}
