package main

import (
	"fmt"
	"time"
)

// A command that takes longer than progressAfter shows its progress. On a terminal it redraws one
// line, elsewhere it prints one line a second.
const (
	progressAfter = 2 * time.Second
	redrawEvery   = 500 * time.Millisecond
	noteEvery     = time.Second
)

// showProgress shows the progress of a command until stop is called. It calls line from another
// goroutine.
func (o *output) showProgress(line func() string) (stop func()) {
	ended, gone := make(chan struct{}), make(chan struct{})
	redraws := isTerminal(o.stderr)
	go func() {
		defer close(gone)
		wait := time.NewTimer(progressAfter)
		defer wait.Stop()
		drawn := false
		for {
			select {
			case <-wait.C:
				if !redraws {
					o.note("%s", line())
					wait.Reset(noteEvery)
					continue
				}
				o.redraw(line())
				drawn = true
				wait.Reset(redrawEvery)
			case <-ended:
				if drawn {
					o.redraw("")
				}
				return
			}
		}
	}()
	return func() {
		close(ended)
		<-gone
	}
}

// redraw replaces the last line of the terminal; "" removes it.
func (o *output) redraw(line string) {
	const clearLine = "\r\x1b[K"
	o.mu.Lock()
	defer o.mu.Unlock()
	fmt.Fprint(o.stderr, clearLine+line)
}
