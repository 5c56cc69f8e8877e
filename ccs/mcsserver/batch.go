package mcsserver

import (
	"sync"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/mcs"
)

// The sizes of a batch of upstream messages.
const (
	maxBatch   = 1000    // messages that are stored at a time
	maxBytes   = 1 << 20 // bytes of them, but for the last
	firstChunk = 4 << 10 // bytes
	maxChunk   = 1 << 20 // bytes that are kept for the next batch
)

// batch is upstream messages that came and are not stored yet, and their memory, which the next batch uses again.
type batch struct {
	messages []ccs.Upstream
	frame    mcs.DataMessage // of the last message
	bytes    int             // of all frames
	chunk    []byte          // what the messages' texts are in; those that were filled before are theirs alone
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// room is n bytes to append to.
func (b *batch) room(n int) []byte {
	if n > cap(b.chunk)-len(b.chunk) {
		b.chunk = make([]byte, 0, max(n, firstChunk, min(2*cap(b.chunk), maxChunk)))
	}
	at := len(b.chunk)
	b.chunk = b.chunk[:at+n]
	return b.chunk[at : at : at+n]
}

// done gives the batch back once it is stored.
func (b *batch) done() {
	if cap(b.chunk) > maxChunk {
		return
	}
	clear(b.messages)
	clear(b.frame.AppData)
	*b = batch{messages: b.messages[:0], frame: mcs.DataMessage{AppData: b.frame.AppData[:0]}, chunk: b.chunk[:0]}
	batches.Put(b)
}
