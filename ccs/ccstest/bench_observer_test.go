package ccstest_test

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/zeebo/xxh3"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/store"
)

// eventRing is an observer as a ledger needs it: it encodes each event, and keeps the newest bytes.
// It encodes outside of its lock, which covers one copy for each batch.
type eventRing struct {
	mu      sync.Mutex
	ring    []byte
	at      int
	events  int64
	buffers sync.Pool
}

const eventRingBytes = 4 << 20 // small, because a larger heap is collected less often

func newEventRing() *eventRing {
	o := &eventRing{ring: make([]byte, eventRingBytes)}
	for i := 0; i < len(o.ring); i += 4096 { // so that no page is new when it is written first
		o.ring[i] = 1
	}
	o.buffers.New = func() any { return new([]byte) }
	return o
}

// Observe implements ccs.Observer.
func (o *eventRing) Observe(events []ccs.Event) {
	buf := o.buffers.Get().(*[]byte)
	b := (*buf)[:0]
	for i := range events {
		b = appendEvent(b, &events[i])
	}
	o.mu.Lock()
	n := copy(o.ring[o.at:], b)
	if n < len(b) {
		n = copy(o.ring, b[n:])
		o.at = 0
	}
	o.at += n
	o.events += int64(len(events))
	o.mu.Unlock()
	*buf = b
	o.buffers.Put(buf)
}

// appendEvent encodes an event. A token is as long as all the rest, so a hash stands for it.
func appendEvent(b []byte, e *ccs.Event) []byte {
	b = append(b, byte(e.Kind), byte(e.Dir), byte(e.Key.Kind))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.At))
	b = binary.LittleEndian.AppendUint64(b, e.Key.ID)
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Entry))
	b = binary.AppendUvarint(b, uint64(e.Lease))
	b = binary.AppendUvarint(b, uint64(e.N))
	for _, ids := range [...][]store.ID{e.Entries, e.Displaced} {
		b = binary.AppendUvarint(b, uint64(len(ids)))
		last := store.ID(0)
		for _, id := range ids {
			b = binary.AppendVarint(b, int64(id-last))
			last = id
		}
	}
	token := uint64(0)
	if e.Token != "" {
		token = xxh3.HashString(e.Token)
	}
	b = binary.LittleEndian.AppendUint64(b, token)
	for _, s := range [...]string{e.Code, string(e.Sender), e.App, e.ID, e.Conn, e.Text} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return b
}

// BenchmarkObserver measures what events cost the server: in turns without an observer and with one
// that encodes each event into a ring.
func BenchmarkObserver(b *testing.B) {
	const rounds = 3
	for _, s := range []shape{{name: "Downstream"}, {name: "HundredDevices", devices: 100}, {name: "Upstream", up: true}} {
		s.senders, s.devices, s.window = 1, cmp.Or(s.devices, 1), 1000
		for round := range rounds {
			for _, observer := range []string{"", "ring"} {
				s.observer = observer
				b.Run(fmt.Sprintf("%s/%s/%d", s.name, cmp.Or(observer, "nil"), round+1), s.run)
			}
		}
	}
}

func TestEventRing(t *testing.T) {
	o := newEventRing()
	batch := []ccs.Event{{Kind: ccs.EventEnded, Code: "acknowledged", Entries: []store.ID{7, 8, 1}}, {Kind: ccs.EventStored, Token: "T"}}
	one := len(appendEvent(appendEvent(nil, &batch[0]), &batch[1]))
	o.at = eventRingBytes - one - 1
	o.Observe(batch)
	assert.Equal(t, eventRingBytes-1, o.at)
	o.Observe(batch)
	assert.Equal(t, one-1, o.at, "it goes on at the beginning")
	assert.EqualValues(t, 4, o.events)
}
