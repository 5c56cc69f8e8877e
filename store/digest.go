package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"
)

// Digest is a sum over records that does not depend on their order, so stores that list them
// differently can be compared. It detects accidents only: a party that chooses the records can make
// two with the same sum.
type Digest [sha256.Size]byte

// Add adds the records of a page to the sum.
func (d *Digest) Add(p *Page) {
	addAll(d, p.Secrets)
	addAll(d, p.Projects)
	addAll(d, p.Clients)
	addAll(d, p.RefreshTokens)
	addAll(d, p.Apps)
	addAll(d, p.Users)
	addAll(d, p.Channels)
	addAll(d, p.DailyCounts)
	addAll(d, p.Registrations)
	addAll(d, p.Subscriptions)
	addAll(d, p.Groups)
	addAll(d, p.Fanouts)
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

// Alike reports whether two records of the same type are equal. It ignores the time zone and the
// precision with which a store keeps times.
func Alike[T any](a, b T) bool { return bytes.Equal(canonical(a), canonical(b)) }

// canonical returns a record as JSON that is the same from every store.
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
	case *App:
		c := *r
		c.Created = canonicalTime(r.Created)
		record = c
	case *Channel:
		c := *r
		c.Since = canonicalTime(r.Since)
		record = c
	case *Registration:
		c := *r
		c.Created, c.Superseded, c.Unregistered = canonicalTime(r.Created), canonicalTime(r.Superseded), canonicalTime(r.Unregistered)
		record = c
	case *Subscription:
		c := *r
		c.Since = canonicalTime(r.Since)
		record = c
	case *Group:
		c := *r
		c.Created = canonicalTime(r.Created)
		record = c
	case *Fanout:
		c := *r
		c.Accepted, c.Expires, c.Mark = canonicalTime(r.Accepted), canonicalTime(r.Expires), Mark{}
		c.Body = append([]byte{}, r.Body...)
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
		panic(err) // every record has a JSON form
	}
	return b
}

// canonicalTime truncates a time to the precision that every store keeps.
func canonicalTime(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
