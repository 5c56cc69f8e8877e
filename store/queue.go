package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Kind says which of a party's queues a Key names.
type Kind uint8

// The kinds of queue. The numbers are part of what stores write to disk.
const (
	KindDevice   Kind = 1 // downstream messages waiting for a device
	KindSender   Kind = 2 // upstream messages waiting for an app server
	KindReceipts Kind = 3 // delivery receipts for an app server: a queue of their own, so that an unacked receipt never holds up a message (CCS 3.5)
)

// Key names one queue: a device's (by its android id) or a sender's (by its sender ID, a project number).
type Key struct {
	Kind Kind
	ID   uint64
}

const kinds = "?dsr" // by Kind

// String is the key as logs and Redis show it, such as "d:4611686018427387904".
func (k Key) String() string {
	kind := kinds[0]
	if int(k.Kind) < len(kinds) {
		kind = kinds[k.Kind]
	}
	return string(kind) + ":" + strconv.FormatUint(k.ID, 10)
}

// ParseKey reads what String has written.
func ParseKey(s string) (Key, error) {
	kind, number, _ := strings.Cut(s, ":")
	id, err := strconv.ParseUint(number, 10, 64)
	k := strings.Index(kinds, kind)
	if err != nil || len(kind) != 1 || k < 1 {
		return Key{}, fmt.Errorf("%q names no queue", s)
	}
	return Key{Kind: Kind(k), ID: id}, nil
}

// ID is an entry's place in its queue. A queue is claimed in the order of its IDs. The two topmost bits
// are the entry's Rank, the rest grows with every Put and is never given out twice for one queue, not
// even across a restart.
type ID uint64

// Rank orders entries before their age does.
type Rank uint8

// The ranks, first to last.
const (
	RankMarker Rank = 0 // the deleted_messages marker, delivered before everything else (CCS 5.5)
	RankHigh   Rank = 1
	RankNormal Rank = 2
)

const rankShift = 62

// MakeID puts a rank and a sequence number (below 2^62) together.
func MakeID(r Rank, seq uint64) ID { return ID(uint64(r)<<rankShift | seq) }

// Rank is the rank that the ID carries.
func (id ID) Rank() Rank { return Rank(id >> rankShift) }

// Seq is the sequence number that the ID carries: the order of Put, whatever the rank.
func (id ID) Seq() uint64 { return uint64(id) & (1<<rankShift - 1) }

// String is the ID as logs show it, which is how a device's persistent_id ends (DEV 7.2).
func (id ID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// Lease names one session's claims on a queue. It is never zero and never used twice.
type Lease uint64

// Overflow says what Put does with an entry that would exceed its Limit.
type Overflow uint8

const (
	// Refuse leaves the queue as it is and reports Refused. All entries of the queue count.
	Refuse Overflow = iota
	// Discard throws away every counted entry and the new one, and leaves one marker that counts them
	// all (CCS 5.5). Only entries without a collapse key that were themselves put under Discard count,
	// per app instance: those are the messages that came while the device was away. What a lease holds
	// at that moment neither counts nor is thrown away. A marker of the app that still waits is thrown
	// away too and its count carried over; one that a lease holds stays as it is. A marker expires with
	// the last of those it stands for.
	Discard
)

// Limit bounds what a queue may hold after a Put. A zero number means no limit. Entries that have expired
// do not count, swept or not.
type Limit struct {
	Messages     int // entries; what happens beyond is up to Overflow
	CollapseKeys int // different collapse keys per app instance; beyond, the least recently put one is evicted (CCS 5.3)
	Overflow     Overflow

	// Connected, where it is not zero, takes the place of Messages, and Refuse that of Overflow, if another
	// node has a session for the queue (see Nodes): only the store knows that.
	Connected int
}

// Entry is one message in a queue. The store does not look into Body.
type Entry struct {
	Key      Key
	ID       ID            // given by Put; zero in an entry that is being put
	Rank     Rank          // RankHigh or RankNormal when put
	App      string        // the app instance that Limit counts by
	Collapse string        // collapse key, "" for none: a new entry replaces the old one of the same (Key, App, Collapse), place and all
	Dedup    string        // "" for none: a second entry of the same (Key, Dedup) is reported as Duplicate and not kept; a Refused one is not remembered, a Discarded one is
	DedupFor time.Duration // how long Dedup is remembered; at least one day for upstream messages (DEV 7.3)
	Accepted time.Time     // when ccs took the message on, to the microsecond
	Expires  time.Time     // never offered at or after this time; to the millisecond
	Limit    Limit         // holds for this Put only
	Mark     Mark          `json:"-"` // zero for none: remembered with the entry by a store that is Repeats; of an entry that is claimed or dumped it means nothing
	Body     []byte

	// Deleted is not zero in a marker alone: how many messages of App were thrown away. A marker has
	// no Body, and only stores make one.
	Deleted int
}

// Outcome is what became of an entry.
type Outcome struct {
	ID     ID // the entry's, when it was kept; the marker's, when Discarded
	Result Result

	// Displaced names the entries that the store forgot for this one, in no particular order; nil if it forgot
	// none. When Collapsed it is the entry that was replaced. When Stored these entries had to make room for a
	// collapse key. When Discarded these entries were thrown away, an earlier marker of the app included.
	Displaced []ID
}

// Result is the kind of an Outcome.
type Result uint8

const (
	Stored    Result = iota // kept
	Collapsed               // kept, in the place of an older entry with the same collapse key
	Discarded               // thrown away together with all that its Limit counted; a marker says so
	Refused                 // not kept: the queue is full
	Duplicate               // not kept: the same Dedup was kept before
	Damaged                 // not kept: what the store has of the queue can not be read
)

// Queue is the one durable queue of both directions. A message is put, claimed by a session, and
// acknowledged; a claim whose session ends is released, and its entries are offered again.
type Queue interface {
	// Put stores a batch, in order, and reports what became of each entry. Entries may belong to many
	// queues. With an error nothing is promised: an entry may or may not have been kept. A *PartialError
	// concerns those entries alone for which it has an error; of one queue they are the last of the batch.
	// Put does not keep any memory of the batch after it has returned.
	Put(ctx context.Context, batch []Entry, now time.Time) ([]Outcome, error)

	// Claim hands at most max living entries of a queue to a lease: in order of their IDs, leaving out
	// what is claimed already and what has expired. The caller owns what it gets.
	Claim(ctx context.Context, k Key, l Lease, max int, now time.Time) ([]Entry, error)

	// Has reports whether an entry is in its queue, claimed or not. One that has expired is there until it is swept.
	Has(ctx context.Context, k Key, id ID) (bool, error)

	// Ack forgets entries. IDs that are not there are passed over, and returned as missing: something else has
	// ended those entries. When Ack returns, that survives kill -9: the peer may be told that its acknowledgement
	// arrived, and need not repeat it (DEV 7.2). A store that had to repeat the call, because the reply was lost,
	// returns nothing as missing.
	Ack(ctx context.Context, k Key, ids ...ID) (missing []ID, err error)

	// Release ends a lease: what it claimed and did not acknowledge may be claimed again, at its old
	// place. An unknown lease is no error.
	Release(ctx context.Context, k Key, l Lease) error

	// Purge forgets all entries of one app instance, claimed ones and markers included (CCS 5.7: it was
	// unregistered). It returns their IDs in no particular order; with an error, those that are certainly gone. A
	// store that had to repeat the call, because the reply was lost, returns only what the repeat found.
	Purge(ctx context.Context, k Key, app string) (purged []ID, err error)

	// Expire looks at no more than max entries, going on where the last call stopped, forgets those
	// that have expired and returns them. One that is claimed is left to its lease: acknowledged, or
	// released and then forgotten. A sweep is over when more is false.
	Expire(ctx context.Context, now time.Time, max int) (expired []Entry, more bool, err error)
}

// AsyncAcker is an optional ability of a store: to forget entries without a caller that waits.
type AsyncAcker interface {
	// AckAsync is Ack that does not wait: done is called once, with what Ack would return. It is called from a
	// goroutine of the store and must not block. The store keeps ids until then. AckAsync returns false, and does
	// nothing, while it cannot take the call: then use Ack.
	AckAsync(k Key, ids []ID, done func(missing []ID, err error)) bool
}

// Presence is an optional ability of a store: to remember across a crash which queues had a session.
// The router gives the devices among them time to come back before it counts them as away.
type Presence interface {
	// SetPresent notes that a queue has a session, or has none any more. It need not be durable at once.
	SetPresent(ctx context.Context, k Key, present bool) error
	// Present lists the queues that had a session when the store was last used, before it was opened. They
	// stay noted until SetPresent says otherwise, so that a second crash does not lose them.
	Present(ctx context.Context) ([]Key, error)
}
