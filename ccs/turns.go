package ccs

import (
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/store"
)

// Turns divide the processors among senders and devices that have much work; see flowcontrol.Turns.
type Turns = flowcontrol.Turns[store.Key]

const (
	// turnLength is about a millisecond of work on stanzas. Shorter turns make batches smaller
	// and messages more expensive.
	turnLength = 128 << 10

	// sendCost is the cost of a message in Send, besides that of reading it. A turn suffices for a
	// usual window.
	sendCost = 128

	// smallSend is how many messages Send takes without a turn.
	smallSend = 32
)

// NewTurns returns turns for n goroutines at a time.
func NewTurns(n int, handOff func()) *Turns {
	return flowcontrol.NewTurns[store.Key](n, turnLength, handOff)
}

// Turn returns a turn, not yet begun, for the work of a sender or device.
func (r *Router) Turn(k store.Key) *flowcontrol.Turn[store.Key] {
	t := r.turns.Of(k)
	return &t
}
