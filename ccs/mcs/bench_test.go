package mcs_test

import (
	"bytes"
	"testing"

	"github.com/openccs/openccs/ccs/mcs"
)

// typical is a downstream message of the most frequent kind.
var typical = mcs.DataMessage{
	From: "123456789012", Category: "nmmhkkegccagdldgiimedpiccmgmieda", Token: "score",
	AppData:      []mcs.KV{{Key: "title", Value: "Hello, world"}, {Key: "body", Value: long(160)}, {Key: "n", Value: "17"}},
	PersistentID: mcs.PersistentID(1795304488123456, 77), LastStreamID: 12, TTL: 86400, HasTTL: true,
	Sent: 1795304488123, ImmediateAck: true,
}

func BenchmarkAppendDataMessage(b *testing.B) {
	buf := make([]byte, 0, 1024)
	b.SetBytes(int64(len(mcs.AppendDataMessage(buf, &typical))))
	b.ReportAllocs()
	for b.Loop() {
		mcs.AppendDataMessage(buf, &typical)
	}
}

func BenchmarkUnmarshalDataMessage(b *testing.B) {
	wire := typical.Append(nil)
	var m mcs.DataMessage
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Unmarshal(wire); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLastStreamID(b *testing.B) {
	wire := typical.Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		mcs.LastStreamID(mcs.TagDataMessageStanza, wire)
	}
}

func BenchmarkReader(b *testing.B) {
	for _, row := range []struct {
		name  string
		frame []byte
	}{
		{"data", mcs.AppendDataMessage(nil, &typical)},
		{"ack", mcs.AppendStreamAck(nil, 17)},
	} {
		b.Run(row.name, func(b *testing.B) {
			stream := bytes.Repeat(row.frame, 100)
			src := bytes.NewReader(stream)
			r := mcs.NewReader(src, mcs.MaxFrame)
			b.SetBytes(int64(len(row.frame)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := r.Next(); err != nil {
					src.Reset(stream)
				}
			}
		})
	}
}
