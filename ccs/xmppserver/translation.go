package xmppserver

import (
	"sync"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/internal/downstream"
	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/stanza"
)

// translation converts a batch of downstream messages to the types of the core, and owns their
// memory.
type translation struct {
	batch []ccs.Downstream
	data  payload.Data // of all messages; not nil, so that an empty object is not nil either
}

var translations = sync.Pool{New: func() any { return &translation{data: make(payload.Data, 0, 4<<10)} }}

// Limits of the memory that a translation keeps.
const (
	maxKeptBatch = 4096    // messages
	maxKeptData  = 1 << 20 // bytes
)

// translate returns a batch in the types of the core. It is valid until done.
func (t *translation) translate(batch []stanza.Downstream) []ccs.Downstream {
	for i := range batch {
		m := &batch[i]
		d := downstream.Of(m)
		d.Data = t.pairs(m.Data)
		if m.Notification != "" {
			d.Notification = t.pairs(m.Notification)
		}
		t.batch = append(t.batch, d)
	}
	return t.batch
}

// pairs appends the pairs of an object to the data, and returns them. Pairs that were returned
// before stay valid when the data moves.
func (t *translation) pairs(o stanza.Object) payload.Data {
	start := len(t.data)
	t.data = o.AppendData(t.data)
	return t.data[start:len(t.data):len(t.data)]
}

func (t *translation) done() {
	if cap(t.batch) > maxKeptBatch || cap(t.data) > maxKeptData {
		return
	}
	clear(t.batch)
	t.batch, t.data = t.batch[:0], t.data[:0]
	translations.Put(t)
}
