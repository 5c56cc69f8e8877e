package main

import (
	"fmt"
	"time"
)

// What takes longer than progressAfter tells how far it is: in one line that is redrawn if a person reads
// it, and elsewhere in a line a second.
const (
	progressAfter = 2 * time.Second
	redrawEvery   = 500 * time.Millisecond
	noteEvery     = time.Second
)

// showProgress tells how far a command is until stop is called. line may be called from another goroutine.
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

// redraw replaces the last line of the terminal; "" takes it away.
func (o *output) redraw(line string) {
	const clearLine = "\r\x1b[K"
	o.mu.Lock()
	defer o.mu.Unlock()
	fmt.Fprint(o.stderr, clearLine+line)
}
