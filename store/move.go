package store

import (
	"context"
	"crypto/sha256"
	"iter"
	"time"
)

// Movable is an optional ability of a store: all that it remembers can be carried into another one. Nobody
// else uses either of the two meanwhile: ErrLocked from both calls if a store knows of somebody.
type Movable interface {
	// Dump reads everything that has not expired, claimed entries as well, in pages: first secrets, then
	// projects, OAuth clients and refresh tokens, then the rest, an entry next to the others of its queue. from
	// is "", or the Next of an earlier page: then the dump begins behind that page, or somewhere before. There is
	// one page at least. The store can only be closed when the last page has been read. After an error there are
	// no more pages.
	Dump(ctx context.Context, from string, now time.Time) iter.Seq2[*Page, error]
	// Restore keeps what a page holds, as it is: IDs are not given out anew, and no limit is judged. What is
	// there already is left alone, so that a page may be restored again; ErrExists if something else is there
	// in its place. When it returns nil, all of the page survives kill -9.
	Restore(ctx context.Context, p *Page, now time.Time) error
}

// PageSize is how many records a page holds at most.
const PageSize = 1000

// Page is a part of what a store remembers. Nobody changes the records of a page.
type Page struct {
	Seq  uint64 // no sequence number above it was ever given out
	Next string // what to give Dump to go on behind this page; means nothing to another store

	Secrets       []Secret
	Projects      []*Project
	Clients       []*OAuthClient
	RefreshTokens []*RefreshToken
	Registrations []*Registration
	Remembered    []Remembered
	// Entries have their IDs. Where Limit.Overflow is Discard, the entry counts as put while its device was
	// away; nothing else is in Limit, and DedupFor is zero.
	Entries []Entry
}

// Len is how many records the page holds.
func (p *Page) Len() int {
	return len(p.Secrets) + len(p.Projects) + len(p.Clients) + len(p.RefreshTokens) + len(p.Registrations) +
		len(p.Remembered) + len(p.Entries)
}

// HighestSeq is the sequence number that the IDs of a store go on from once it has the page.
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

// Remembered is the Dedup of an entry that was put once: while it is known, a second one is a Duplicate.
type Remembered struct {
	Key   Key
	Sum   DedupSum
	Until time.Time // to the millisecond
}

// DedupSum is what stores keep of an Entry's Dedup: half a SHA-256, so that nobody finds two strings with
// the same.
type DedupSum [sha256.Size / 2]byte

// SumDedup is the sum of a Dedup.
func SumDedup(dedup string) (s DedupSum) {
	var buf [256]byte // on the stack for all but long strings
	sum := sha256.Sum256(append(buf[:0], dedup...))
	copy(s[:], sum[:])
	return s
}
