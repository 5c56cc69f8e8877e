package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Kind says which queue of a party a Key names.
type Kind uint8

// The kinds of queue. The numbers are part of what stores write to disk.
const (
	KindDevice Kind = 1 // downstream messages waiting for a device
	KindSender Kind = 2 // upstream messages waiting for an app server
	// KindReceipts has the delivery receipts for an app server. The queue is separate, so an
	// unacked receipt never holds up a message (CCS 3.5).
	KindReceipts Kind = 3
)

// Key names one queue: a device's (by its android id) or a sender's (by its sender ID, a project
// number).
type Key struct {
	Kind Kind
	ID   uint64
}

const kinds = "?dsr" // by Kind

// String returns the key in the form of logs and Redis, such as "d:4611686018427387904".
func (k Key) String() string {
	kind := kinds[0]
	if int(k.Kind) < len(kinds) {
		kind = kinds[k.Kind]
	}
	return string(kind) + ":" + strconv.FormatUint(k.ID, 10)
}

// ParseKey parses the result of String.
func ParseKey(s string) (Key, error) {
	kind, number, _ := strings.Cut(s, ":")
	id, err := strconv.ParseUint(number, 10, 64)
	k := strings.Index(kinds, kind)
	if err != nil || len(kind) != 1 || k < 1 {
		return Key{}, fmt.Errorf("%q names no queue", s)
	}
	return Key{Kind: Kind(k), ID: id}, nil
}

// ID is the place of an entry in its queue. A queue is claimed in the order of its IDs. The two
// topmost bits are the entry's Rank. The rest grows with every Put and is never used twice in one
// queue, not even across a restart.
type ID uint64

// Rank orders entries before their age.
type Rank uint8

// The ranks, first to last.
const (
	RankMarker Rank = 0 // the deleted_messages marker, delivered before everything else (CCS 5.5)
	RankHigh   Rank = 1
	RankNormal Rank = 2
)

const rankShift = 62

// MakeID combines a rank and a sequence number (below 2^62).
func MakeID(r Rank, seq uint64) ID { return ID(uint64(r)<<rankShift | seq) }

// Rank returns the rank in the ID.
func (id ID) Rank() Rank { return Rank(id >> rankShift) }

// Seq returns the sequence number in the ID: the order of Put, whatever the rank.
func (id ID) Seq() uint64 { return uint64(id) & (1<<rankShift - 1) }

// String returns the ID in the form of logs. A device's persistent_id ends with it (DEV 7.2).
func (id ID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// Lease names one session's claims on a queue. It is never zero and never used twice.
type Lease uint64

// Overflow says what Put does with an entry that would exceed its Limit.
type Overflow uint8

const (
	// Refuse leaves the queue as it is and reports Refused. All entries of the queue count.
	Refuse Overflow = iota
	// Discard drops every counted entry and the new one, and adds one marker that counts them all
	// (CCS 5.5). It counts, per app instance, only entries without a collapse key that were put
	// under Discard themselves: those messages came while the device was away. Entries that a lease
	// holds at that moment neither count nor are dropped. An older marker of the app that still
	// waits is dropped and its count added. A marker that a lease holds stays as it is. A marker
	// expires with the last of its entries.
	Discard
)

// Limit bounds a queue after a Put. A zero number means no limit. Entries that have expired do not
// count, swept or not.
type Limit struct {
	Messages int // entries; beyond it, Overflow applies
	// CollapseKeys is the number of different collapse keys per app instance. Beyond it the least
	// recently put key is evicted (CCS 5.3).
	CollapseKeys int
	Overflow     Overflow

	// Connected replaces Messages, and Refuse replaces Overflow, if Connected is not zero and
	// another node has a session for the queue (see Coordinator). Only the store knows that.
	Connected int
}

// Entry is one message in a queue. The store does not look into Body.
type Entry struct {
	Key  Key
	ID   ID     // given by Put; zero in an entry that is being put
	Rank Rank   // RankHigh or RankNormal when put
	App  string // the app instance that Limit counts by
	// Collapse is the collapse key, "" for none. A new entry takes the place of the old one with
	// the same Key, App and Collapse.
	Collapse string
	// Dedup is the dedup key, "" for none. A second entry with the same Key and Dedup is reported
	// as Duplicate and not kept. The Dedup of a Refused entry is not remembered, that of a
	// Discarded one is.
	Dedup string
	// DedupFor says how long Dedup is remembered; at least one day for upstream messages (DEV 7.3).
	DedupFor time.Duration
	Accepted time.Time // when ccs accepted the message, to the microsecond
	Expires  time.Time // never offered at or after this time; to the millisecond
	Limit    Limit     // holds for this Put only
	// Mark is zero for none. A store with Repeats remembers it with the entry. In a claimed or
	// dumped entry it means nothing.
	Mark Mark `json:"-"`
	Body []byte

	// Deleted is the number of discarded messages of App in a marker, and zero in any other entry.
	// A marker has no Body, and only stores make one.
	Deleted int
}

// Outcome is the result of a Put for one entry.
type Outcome struct {
	ID     ID // of the entry, when it was kept; of the marker, when Discarded
	Result Result

	// Displaced names the entries that the store forgot for this one, in no particular order; nil
	// for none. When Collapsed it is the replaced entry. When Stored these entries made room for a
	// collapse key. When Discarded these entries were dropped, an earlier marker of the app
	// included.
	Displaced []ID
}

// Result is the kind of an Outcome.
type Result uint8

const (
	Stored    Result = iota // kept
	Collapsed               // kept, in the place of an older entry with the same collapse key
	// Discarded means dropped together with all entries that its Limit counted; a marker counts
	// them.
	Discarded
	Refused   // not kept: the queue is full
	Duplicate // not kept: the same Dedup was kept before
	Damaged   // not kept: the store cannot read its data of the queue
)

// Queue is the one durable queue of both directions. A message is put, claimed by a session, and
// acknowledged. When a session ends, its claims are released and those entries are offered again.
type Queue interface {
	// Put stores a batch, in order, and returns the outcome of each entry. Entries may belong to
	// many queues. After an error each entry may or may not have been kept. A *PartialError
	// concerns only the entries for which it has an error; in each queue they are the last of the
	// batch. After Put has returned it does not use any memory of the batch.
	Put(ctx context.Context, batch []Entry, now time.Time) ([]Outcome, error)

	// Claim gives at most max living entries of a queue to a lease, in the order of their IDs. It
	// leaves out claimed and expired entries. The caller owns the returned entries.
	Claim(ctx context.Context, k Key, l Lease, max int, now time.Time) ([]Entry, error)

	// Has reports whether an entry is in its queue, claimed or not. An expired entry is there until
	// it is swept.
	Has(ctx context.Context, k Key, id ID) (bool, error)

	// Ack forgets entries. It skips IDs that are not in the queue and returns them as missing:
	// those entries ended in another way. When Ack returns, its effect survives kill -9. The peer
	// may then be told that its acknowledgement arrived, and need not repeat it (DEV 7.2). A store
	// that had to repeat the call, because the reply was lost, returns nothing as missing.
	Ack(ctx context.Context, k Key, ids ...ID) (missing []ID, err error)

	// Release ends a lease. Entries that it claimed and did not acknowledge may be claimed again,
	// at their old place. An unknown lease is no error.
	Release(ctx context.Context, k Key, l Lease) error

	// Purge forgets all entries of one app instance, claimed ones and markers included (CCS 5.7: it
	// was unregistered). It returns their IDs in no particular order; with an error, those that are
	// certainly gone. A store that had to repeat the call, because the reply was lost, returns only
	// the entries that the repeat found.
	Purge(ctx context.Context, k Key, app string) (purged []ID, err error)

	// Expire looks at no more than max entries and continues where the last call stopped. It
	// forgets expired entries and returns them. It leaves a claimed entry to its lease: the entry
	// is acknowledged, or released and then forgotten. A sweep is over when more is false.
	Expire(ctx context.Context, now time.Time, max int) (expired []Entry, more bool, err error)
}

// AsyncAcker is an optional ability of a store: it forgets entries while the caller does not wait.
type AsyncAcker interface {
	// AckAsync is Ack without the wait. It calls done once, with the results of Ack. It calls done
	// from a goroutine of the store, so done must not block. The store keeps ids until then.
	// AckAsync returns false, and does nothing, while it cannot take the call: then use Ack.
	AckAsync(k Key, ids []ID, done func(missing []ID, err error)) bool
}

// Presence is an optional ability of a store: it remembers across a crash which queues had a
// session. The router gives the devices among them time to come back before it counts them as away.
type Presence interface {
	// SetPresent notes whether a queue has a session. It need not be durable at once.
	SetPresent(ctx context.Context, k Key, present bool) error
	// Present lists the queues that had a session when the store was last used, before it was
	// opened. They stay noted until SetPresent changes them, so that a second crash does not lose
	// them.
	Present(ctx context.Context) ([]Key, error)
}
