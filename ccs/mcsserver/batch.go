package mcsserver

import (
	"sync"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/mcs"
)

// Limits of a batch of upstream messages.
const (
	maxBatch   = 1000    // messages that are stored at a time
	maxBytes   = 1 << 20 // bytes of those, the last message excepted
	firstChunk = 4 << 10 // bytes
	maxChunk   = 1 << 20 // bytes that are kept for the next batch
)

// batch holds received upstream messages until they are stored. The next batch reuses its memory.
type batch struct {
	messages []ccs.Upstream
	frame    mcs.DataMessage // of the last message
	bytes    int             // of all frames
	// chunk holds the texts of messages. A full chunk belongs to its messages only.
	chunk []byte
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// room returns an empty slice with a capacity of n bytes.
func (b *batch) room(n int) []byte {
	if n > cap(b.chunk)-len(b.chunk) {
		b.chunk = make([]byte, 0, max(n, firstChunk, min(2*cap(b.chunk), maxChunk)))
	}
	at := len(b.chunk)
	b.chunk = b.chunk[:at+n]
	return b.chunk[at : at : at+n]
}

// done frees the batch after it is stored.
func (b *batch) done() {
	if cap(b.chunk) > maxChunk {
		return
	}
	clear(b.messages)
	clear(b.frame.AppData)
	*b = batch{messages: b.messages[:0], frame: mcs.DataMessage{AppData: b.frame.AppData[:0]}, chunk: b.chunk[:0]}
	batches.Put(b)
}
