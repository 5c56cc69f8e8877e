package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"
)

// Digest is a sum over records that does not depend on their order, so that stores can be compared that list
// them differently. It is made for accidents: whoever chooses the records can make two that are the same.
type Digest [sha256.Size]byte

// Add takes the records of a page in.
func (d *Digest) Add(p *Page) {
	addAll(d, p.Secrets)
	addAll(d, p.Projects)
	addAll(d, p.Clients)
	addAll(d, p.RefreshTokens)
	addAll(d, p.Registrations)
	addAll(d, p.Remembered)
	addAll(d, p.Entries)
}

func addAll[T any](d *Digest, records []T) {
	for _, r := range records {
		sum := sha256.Sum256(fmt.Appendf(nil, "%T %s", r, canonical(r)))
		for i := range d {
			d[i] ^= sum[i]
		}
	}
}

// Alike reports whether two records of the same type say the same, in whatever zone their times are and
// however precisely a store has kept them.
func Alike[T any](a, b T) bool { return bytes.Equal(canonical(a), canonical(b)) }

// canonical is a record as JSON that is the same whichever store it comes from.
func canonical(record any) []byte {
	switch r := record.(type) {
	case *Project:
		c := *r
		c.Created, c.Keys = canonicalTime(r.Created), nil
		for _, k := range r.Keys {
			k.Created = canonicalTime(k.Created)
			c.Keys = append(c.Keys, k)
		}
		record = c
	case *OAuthClient:
		c := *r
		c.Created = canonicalTime(r.Created)
		record = c
	case *RefreshToken:
		c := *r
		c.Created = canonicalTime(r.Created)
		record = c
	case *Registration:
		c := *r
		c.Created, c.Superseded, c.Unregistered = canonicalTime(r.Created), canonicalTime(r.Superseded), canonicalTime(r.Unregistered)
		record = c
	case Remembered:
		r.Until = canonicalTime(r.Until)
		record = r
	case Entry:
		r.Accepted, r.Expires = canonicalTime(r.Accepted), canonicalTime(r.Expires)
		r.Body = append([]byte{}, r.Body...) // a marker has none, or an empty one
		record = r
	}
	b, err := json.Marshal(record)
	if err != nil {
		panic(err) // records hold nothing that has no JSON
	}
	return b
}

// canonicalTime is as precise as every store keeps times.
func canonicalTime(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
