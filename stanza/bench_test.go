package stanza_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/stanza"
)

// payload returns the JSON text of a message of about size bytes, with pairs of data of 60 bytes
// each.
func payload(size int) string {
	var b strings.Builder
	b.WriteString(`{"to":"` + strings.Repeat("APA91bH_x-", 14) + `","message_id":"m-1234567890","time_to_live":600,"data":{"k":"v"`)
	for i := 0; b.Len()+62 < size; i++ {
		fmt.Fprintf(&b, `,"key%02d":"%s"`, i, strings.Repeat("v", 50))
	}
	b.WriteString(`}}`)
	return b.String()
}

func message(json string) string {
	return `<message id=""><gcm xmlns="google:mobile:data">` + json + `</gcm></message>`
}

// loop yields the header once and then a message forever, as much as fits into a read.
type loop struct {
	rest, message string
}

func (l *loop) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if l.rest == "" {
			l.rest = l.message
		}
		c := copy(p[n:], l.rest)
		l.rest = l.rest[c:]
		n += c
	}
	return n, nil
}

const opening = `<stream:stream to='gcm.googleapis.com' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>`

var messages = []struct{ name, text string }{
	{"300raw", message(payload(300))},
	{"300esc", message(strings.ReplaceAll(payload(300), `"`, "&quot;"))},
	{"4k", message(payload(4096))},
}

func open(t testing.TB, src io.Reader) *stanza.Reader {
	r := stanza.NewReader(src, stanza.AfterBind)
	_, err := r.Header()
	require.NoError(t, err)
	return r
}

func BenchmarkReadDecodeAck(b *testing.B) {
	for _, m := range messages {
		b.Run(m.name, func(b *testing.B) {
			r := open(b, &loop{rest: opening, message: m.text})
			var e stanza.Element
			var in stanza.Inbound
			var out []byte
			b.SetBytes(int64(len(m.text)))
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Next(&e); err != nil {
					b.Fatal(err)
				}
				if err := stanza.DecodeInbound(e.Payload, nil, &in); err != nil {
					b.Fatal(err)
				}
				out = stanza.AppendAck(out[:0], in.Downstream.To, in.Downstream.MessageID, "")
			}
		})
	}
}

// BenchmarkHeader and the others below measure the stages of BenchmarkReadDecodeAck one by one.

func BenchmarkNext(b *testing.B) {
	for _, m := range messages {
		b.Run(m.name, func(b *testing.B) {
			r := open(b, &loop{rest: opening, message: m.text})
			var e stanza.Element
			b.SetBytes(int64(len(m.text)))
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Next(&e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeInbound(b *testing.B) {
	for _, size := range []int{300, 4096} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			text := []byte(payload(size))
			var in stanza.Inbound
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if err := stanza.DecodeInbound(text, nil, &in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendData(b *testing.B) {
	var in stanza.Inbound
	require.NoError(b, stanza.DecodeInbound([]byte(payload(300)), nil, &in))
	var d stanza.Data
	b.ReportAllocs()
	for b.Loop() {
		d = in.Downstream.Data.AppendData(d[:0])
	}
}

func BenchmarkAppendAck(b *testing.B) {
	token := strings.Repeat("APA91bH_x-", 14)
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = stanza.AppendAck(out[:0], token, "m-1234567890", "")
	}
}

func TestDecodeAndAckDoNotAllocate(t *testing.T) {
	text := []byte(payload(300))
	var in stanza.Inbound
	var data stanza.Data
	var out []byte
	allocs := testing.AllocsPerRun(1000, func() {
		if stanza.DecodeInbound(text, nil, &in) != nil {
			panic("refused")
		}
		data = in.Downstream.Data.AppendData(data[:0])
		out = stanza.AppendAck(out[:0], in.Downstream.To, in.Downstream.MessageID, "")
	})
	assert.Zero(t, allocs)
}

func TestKeysWithEscapesAreCheckedWithoutAllocating(t *testing.T) {
	text := []byte(`{"to":"T","message_id":"m","data":{"\u0066romage":"\u00e9t\u00e9","\ud83d\ude00\ud83d\ude00\ud83d\ude00\ud83d\ude00":"x"}}`)
	var in stanza.Inbound
	allocs := testing.AllocsPerRun(100, func() {
		if stanza.DecodeInbound(text, nil, &in) != nil {
			panic("refused")
		}
	})
	assert.Zero(t, allocs)
}

func TestReadingTakesOneChunkForManyMessages(t *testing.T) {
	r := open(t, &loop{rest: opening, message: messages[0].text})
	var e stanza.Element
	allocs := testing.AllocsPerRun(10, func() {
		for range 1000 {
			if r.Next(&e) != nil {
				panic("refused")
			}
		}
	})
	assert.Less(t, allocs, 20.0)
}
