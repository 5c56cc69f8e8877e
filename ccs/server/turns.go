package server

import (
	"os"
	"runtime"

	"github.com/openccs/openccs/ccs"
)

// turns limits long work to one turn for each processor, and lets all short work go first. With
// many callers it is a turn for each two processors: the rest is for work without turns, such as
// commits, compactions, and writes to connections.
//
// The Go scheduler polls connections only when a processor has nothing else to run, or after ten
// milliseconds. A goroutine that yields or wakes another one keeps its processor busy. With enough
// long work, a connection with little traffic would wait ten milliseconds for each read. Therefore
// turns passes each turn on through a pipe. The other end becomes ready only when the scheduler
// polls, and the scheduler then finds all other ready connections too.
type turns struct {
	*ccs.Turns
	in, out *os.File // nil on a network in memory, which the scheduler does not poll
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

// handOff makes run begin the next turn. The pipe has room for one byte per turn.
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

// close closes the pipe. Turns continue without it.
func (t *turns) close() error {
	if t.out == nil {
		return nil
	}
	err := t.out.Close()
	<-t.ended // run reads the rest of the pipe first
	t.in.Close()
	return err
}
