package diskstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/internal/limits"
)

// An entry on disk has flags (1 byte), expiry in milliseconds (8), acceptance in microseconds (8),
// the count of a marker (uvarint), app, collapse and dedup (each a length and the bytes), and the
// body.
const (
	flagAway        = 1 << 0
	recordFixed     = 1 + 8 + 8
	offsetExpires   = 1
	offsetAccepted  = 9
	recordMinLength = recordFixed + 4
)

var errDamaged = errors.New("entry on disk is damaged")

// recordLen returns the length of an entry's record.
func recordLen(e *store.Entry) int {
	return recordFixed + uvarintLen(uint64(e.Deleted)) + textLen(e.App) + textLen(e.Collapse) + textLen(e.Dedup) +
		len(e.Body)
}

func textLen(s string) int { return uvarintLen(uint64(len(s))) + len(s) }

func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// putRecord writes an entry's record to dst, which is recordLen long.
func putRecord(dst []byte, e *store.Entry) {
	dst[0] = 0
	if limits.IsAway(e) {
		dst[0] = flagAway
	}
	binary.BigEndian.PutUint64(dst[offsetExpires:], uint64(e.Expires.UnixMilli()))
	binary.BigEndian.PutUint64(dst[offsetAccepted:], uint64(e.Accepted.UnixMicro()))
	b := binary.AppendUvarint(dst[:recordFixed], uint64(e.Deleted))
	b = appendText(b, e.App)
	b = appendText(b, e.Collapse)
	b = appendText(b, e.Dedup)
	copy(dst[len(b):], e.Body)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// record is a parsed entry record. Its slices are parts of the input.
type record struct {
	flags                byte
	expires, accepted    int64
	deleted              int
	app, collapse, dedup []byte
	body                 []byte
}

func parseRecord(b []byte) (r record, err error) {
	if len(b) < recordMinLength {
		return r, errDamaged
	}
	r.flags = b[0]
	r.expires = int64(binary.BigEndian.Uint64(b[offsetExpires:]))
	r.accepted = int64(binary.BigEndian.Uint64(b[offsetAccepted:]))
	deleted, n := binary.Uvarint(b[recordFixed:])
	if n <= 0 {
		return r, errDamaged
	}
	r.deleted = int(deleted)
	b = b[recordFixed+n:]
	for _, part := range []*[]byte{&r.app, &r.collapse, &r.dedup} {
		if *part, b, err = cutText(b); err != nil {
			return r, err
		}
	}
	r.body = b
	return r, nil
}

func cutText(b []byte) (text, rest []byte, err error) {
	length, n := binary.Uvarint(b)
	if n <= 0 || uint64(len(b)-n) < length {
		return nil, nil, errDamaged
	}
	return b[n : n+int(length)], b[n+int(length):], nil
}

// expiresOf returns the expiry of a record without parsing the rest.
func expiresOf(b []byte) (int64, error) {
	if len(b) < recordMinLength {
		return 0, errDamaged
	}
	return int64(binary.BigEndian.Uint64(b[offsetExpires:])), nil
}

// entry makes an entry that shares no memory with the record.
func (r *record) entry(k store.Key, id store.ID) store.Entry {
	e := store.Entry{
		Key: k, ID: id, Rank: id.Rank(),
		Accepted: time.UnixMicro(r.accepted), Expires: time.UnixMilli(r.expires), Deleted: r.deleted,
	}
	fill(&e, r.app, r.collapse, r.dedup, r.body)
	return e
}

// copyOf copies an entry that is being put into the form that Claim returns. The copy shares no
// memory with it.
func copyOf(e *store.Entry, id store.ID) store.Entry {
	c := store.Entry{
		Key: e.Key, ID: id, Rank: id.Rank(),
		Accepted: time.UnixMicro(e.Accepted.UnixMicro()), Expires: time.UnixMilli(e.Expires.UnixMilli()), Deleted: e.Deleted,
	}
	fill(&c, e.App, e.Collapse, e.Dedup, e.Body)
	return c
}

// fill gives an entry copies of its texts and its body, in one allocation.
func fill[T string | []byte](e *store.Entry, app, collapse, dedup T, body []byte) {
	b := make([]byte, 0, len(app)+len(collapse)+len(dedup)+len(body))
	b = append(append(append(append(b, app...), collapse...), dedup...), body...)
	text := unsafe.String(unsafe.SliceData(b), len(b)-len(body)) // this part is never written
	e.App, e.Collapse, e.Dedup = text[:len(app)], text[len(app):len(app)+len(collapse)], text[len(app)+len(collapse):]
	e.Body = b[len(text):len(b):len(b)]
}

func (r *record) head(id store.ID) limits.Head {
	return limits.Head{
		ID: id, Expires: r.expires, App: string(r.app), Collapse: string(r.collapse),
		Away: r.flags&flagAway != 0, Deleted: r.deleted,
	}
}

// entryOf makes an entry from a key and a value.
func entryOf(key, value []byte) (store.Entry, error) {
	k, id := parseEntryKey(key)
	r, err := parseRecord(value)
	if err != nil {
		return store.Entry{}, fmt.Errorf("%s: entry %d: %w", k, id, err)
	}
	return r.entry(k, id), nil
}
