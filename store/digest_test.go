package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/openccs/openccs/store"
)

func digest(pages ...*store.Page) (d store.Digest) {
	for _, p := range pages {
		d.Add(p)
	}
	return d
}

func TestADigestIsOfTheRecordsAlone(t *testing.T) {
	t.Parallel()
	at := time.UnixMicro(1_400_000_000_000_001)
	entry := func(id store.ID, change func(*store.Entry)) store.Entry {
		e := store.Entry{Key: store.Key{Kind: store.KindDevice, ID: 1}, ID: id, Accepted: at, Expires: at.Add(time.Hour), Body: []byte("x")}
		change(&e)
		return e
	}
	same := func(*store.Entry) {}
	a, b := entry(1, same), entry(2, same)
	whole := digest(&store.Page{Seq: 1, Next: "n", Entries: []store.Entry{a, b}})
	assert.Equal(t, whole, digest(&store.Page{Seq: 2, Entries: []store.Entry{b}}, &store.Page{Entries: []store.Entry{a}}))
	assert.Equal(t, whole, digest(&store.Page{Entries: []store.Entry{a, entry(2, func(e *store.Entry) {
		e.Accepted, e.Expires = at.UTC().Add(time.Nanosecond), e.Expires.In(time.FixedZone("", 3600))
	})}}))
	for name, change := range map[string]func(*store.Entry){
		"queue":    func(e *store.Entry) { e.Key.ID++ },
		"body":     func(e *store.Entry) { e.Body = nil },
		"expiry":   func(e *store.Entry) { e.Expires = e.Expires.Add(time.Millisecond) },
		"accepted": func(e *store.Entry) { e.Accepted = e.Accepted.Add(time.Microsecond) },
		"away":     func(e *store.Entry) { e.Limit.Overflow = store.Discard },
		"dedup":    func(e *store.Entry) { e.Dedup = "d" },
	} {
		assert.NotEqual(t, whole, digest(&store.Page{Entries: []store.Entry{a, entry(2, change)}}), name)
	}
}

func TestRecordsThatSayTheSameAreAlike(t *testing.T) {
	t.Parallel()
	at := time.Now()
	p := &store.Project{Sender: "1", Created: at, Keys: []store.APIKey{{ID: "k", Created: at}}}
	c := p.Clone()
	c.Created, c.Keys[0].Created = at.UTC(), at.Truncate(time.Microsecond)
	assert.True(t, store.Alike(p, c))
	c.Keys[0].Hash[0]++
	assert.False(t, store.Alike(p, c))
	assert.True(t, store.Alike(&store.Project{}, &store.Project{Keys: []store.APIKey{}}), "no key is no key")
	r := &store.Registration{Token: "t", Senders: []string{"1"}}
	assert.False(t, store.Alike(r, r.SupersededBy("n", at)))
}
