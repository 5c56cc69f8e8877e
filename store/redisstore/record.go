package redisstore

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/internal/limits"
	"github.com/openccs/openccs/store/redisstore/transport"
)

// An entry in Redis, which scripts read too, little endian: flags (1 byte), expiry in milliseconds
// (8), acceptance in microseconds (8), the count of a marker (4), the lengths of app, collapse and
// dedup (4 each), these three, and the body.
const (
	flagAway     = 1 << 0
	recordHeader = 1 + 8 + 8 + 4 + 3*4
)

var errDamaged = transport.ErrReply

// appendRecord appends an entry's record.
func appendRecord(b []byte, e *store.Entry) []byte {
	le := binary.LittleEndian
	b = append(b, bit(limits.IsAway(e))*flagAway)
	b = le.AppendUint64(b, uint64(e.Expires.UnixMilli()))
	b = le.AppendUint64(b, uint64(e.Accepted.UnixMicro()))
	b = le.AppendUint32(b, uint32(e.Deleted))
	b = le.AppendUint32(b, uint32(len(e.App)))
	b = le.AppendUint32(b, uint32(len(e.Collapse)))
	b = le.AppendUint32(b, uint32(len(e.Dedup)))
	b = append(b, e.App...)
	b = append(b, e.Collapse...)
	b = append(b, e.Dedup...)
	return append(b, e.Body...)
}

func recordLen(e *store.Entry) int {
	return recordHeader + len(e.App) + len(e.Collapse) + len(e.Dedup) + len(e.Body)
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// decode decodes an entry from its place and its record.
func decode(k store.Key, place, record string) (store.Entry, error) {
	id, err := parsePlace(place)
	if err != nil {
		return store.Entry{}, err
	}
	if len(record) < recordHeader {
		return store.Entry{}, errDamaged
	}
	le := binary.LittleEndian
	h := []byte(record[:recordHeader])
	var texts [3]string
	rest := record[recordHeader:]
	for i := range texts {
		n := int(le.Uint32(h[offsetAppLength+4*i:]))
		if n > len(rest) {
			return store.Entry{}, errDamaged
		}
		texts[i], rest = strings.Clone(rest[:n]), rest[n:]
	}
	return store.Entry{
		Key: k, ID: id, Rank: id.Rank(),
		App: texts[0], Collapse: texts[1], Dedup: texts[2],
		Expires:  time.UnixMilli(int64(le.Uint64(h[offsetExpires:]))),
		Accepted: time.UnixMicro(int64(le.Uint64(h[9:]))),
		Deleted:  int(le.Uint32(h[17:])),
		Body:     []byte(rest),
	}, nil
}

// decodeAll decodes entries from alternating places and records.
func decodeAll(k store.Key, values []any) ([]store.Entry, error) {
	entries := make([]store.Entry, 0, len(values)/2)
	for i := 0; i+1 < len(values); i += 2 {
		place, _ := values[i].(string)
		record, _ := values[i+1].(string)
		e, err := decode(k, place, record)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}
