package store

import (
	"context"
	"crypto/sha256"
	"iter"
	"time"
)

// Movable is an optional ability of a store: all its data can be moved to another store. During the
// move no other process uses either store. Both calls return ErrLocked if a store knows of one.
type Movable interface {
	// Dump reads everything that has not expired, claimed entries as well, in pages. Secrets come
	// first, then projects, OAuth clients and refresh tokens, then the rest. An entry is next to
	// the others of its queue. from is "" or the Next of an earlier page: the dump then begins
	// after that page, or somewhere before. There is at least one page. The store can only be
	// closed after the last page has been read. After an error there are no more pages.
	Dump(ctx context.Context, from string, now time.Time) iter.Seq2[*Page, error]
	// Restore keeps the records of a page unchanged: it gives out no new IDs and applies no limit.
	// It leaves existing records as they are, so a page may be restored again. It returns ErrExists
	// if a different record is in the place of one. When it returns nil, all of the page survives
	// kill -9.
	Restore(ctx context.Context, p *Page, now time.Time) error
}

// PageSize is the greatest number of records in a page.
const PageSize = 1000

// Page is a part of the data of a store. The records of a page must not be changed.
type Page struct {
	Seq  uint64 // no sequence number above it was ever given out
	Next string // Dump continues after this page with it; means nothing to another store

	Secrets       []Secret
	Projects      []*Project
	Clients       []*OAuthClient
	RefreshTokens []*RefreshToken
	Apps          []*App
	Users         []string // of Channels
	Channels      []*Channel
	DailyCounts   []DailyCount
	Registrations []*Registration
	Subscriptions []*Subscription
	Groups        []*Group
	Fanouts       []*Fanout // without Mark
	Remembered    []Remembered
	// Entries have their IDs. Where Limit.Overflow is Discard, the entry counts as put while its
	// device was away; nothing else is in Limit, and DedupFor is zero.
	Entries []Entry
}

// Len returns the number of records in the page.
func (p *Page) Len() int {
	return len(p.Secrets) + len(p.Projects) + len(p.Clients) + len(p.RefreshTokens) +
		len(p.Apps) + len(p.Users) + len(p.Channels) + len(p.DailyCounts) + len(p.Registrations) +
		len(p.Subscriptions) + len(p.Groups) + len(p.Fanouts) + len(p.Remembered) + len(p.Entries)
}

// HighestSeq returns the sequence number from which a store continues its IDs after it has the
// page.
func (p *Page) HighestSeq() uint64 {
	seq := p.Seq
	for i := range p.Entries {
		seq = max(seq, p.Entries[i].ID.Seq())
	}
	return seq
}

// Secret is one of the server's own random keys.
type Secret struct {
	Name  string
	Value []byte
}

// Remembered is the Dedup of an entry that was put. While the store knows it, a second one is a
// Duplicate.
type Remembered struct {
	Key   Key
	Sum   DedupSum
	Until time.Time // to the millisecond
}

// DedupSum is the sum that stores keep of an Entry's Dedup: half a SHA-256, so that nobody finds
// two strings with the same sum.
type DedupSum [sha256.Size / 2]byte

// SumDedup returns the sum of a Dedup.
func SumDedup(dedup string) (s DedupSum) {
	var buf [256]byte // on the stack for all but long strings
	sum := sha256.Sum256(append(buf[:0], dedup...))
	copy(s[:], sum[:])
	return s
}
