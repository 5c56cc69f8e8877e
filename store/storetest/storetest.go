// Package storetest is the suite that every store passes. New behaviour enters it before any store.
//
// Run tests a store against the comments of the interfaces in package store. RunDurable tests what
// must outlive Close. Both call open for a new store, and close that at the end of the test.
package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
)

// Run tests a store against the interfaces.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	for _, group := range []struct {
		name  string
		cases []testCase
	}{
		{"queue", queueCases},
		{"leases", leaseCases},
		{"expiry", expiryCases},
		{"collapsing", collapseCases},
		{"limits", limitCases},
		{"deduplication", dedupCases},
		{"accounts", accountCases},
		{"concurrency", concurrencyCases},
		{"registrations", registrationCases},
		{"newcomers", newcomerCases},
		{"topics", topicCases},
		{"groups", groupCases},
		{"fan-outs", fanoutCases},
		{"projects and secrets", projectCases},
		{"OAuth", oauthCases},
		{"GCM for Chrome", chromeCases},
		{"presence", presenceCases},
		{"moving", movingCases},
		{"closing", closingCases},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.cases {
				t.Run(c.name, func(t *testing.T) {
					c.run(fixture{T: t, Store: openFor(t, open), open: open})
				})
			}
		})
	}
}

// testCase is one rule. Its name is the rule.
type testCase struct {
	name string
	run  func(f fixture)
}

func openFor(t *testing.T, open func(t *testing.T) store.Store) store.Store {
	t.Helper()
	s := open(t)
	t.Cleanup(func() { _ = s.Close() }) // some tests have closed it already
	return s
}

// Queues and times that the tests use.
var (
	start   = time.UnixMilli(1_400_000_000_000).UTC()
	device  = store.Key{Kind: store.KindDevice, ID: 4611686018427387904}
	another = store.Key{Kind: store.KindDevice, ID: 4611686018427387905}
	sender  = store.Key{Kind: store.KindSender, ID: 4611686018427387904}
)

const day = 24 * time.Hour

// fixture is a store under test, with the calls that tests often make.
type fixture struct {
	*testing.T
	store.Store
	open func(t *testing.T) store.Store // opens another one of the same kind
}

// message returns an entry with usable fields, whose body names it.
func message(body string, change ...func(*store.Entry)) store.Entry {
	e := store.Entry{
		Key: device, Rank: store.RankNormal, App: "com.example.app",
		Accepted: start, Expires: start.Add(28 * day), Body: []byte(body),
	}
	for _, c := range change {
		c(&e)
	}
	return e
}

func in(k store.Key) func(*store.Entry)        { return func(e *store.Entry) { e.Key = k } }
func high(e *store.Entry)                      { e.Rank = store.RankHigh }
func app(name string) func(*store.Entry)       { return func(e *store.Entry) { e.App = name } }
func collapse(key string) func(*store.Entry)   { return func(e *store.Entry) { e.Collapse = key } }
func expires(at time.Time) func(*store.Entry)  { return func(e *store.Entry) { e.Expires = at } }
func limited(l store.Limit) func(*store.Entry) { return func(e *store.Entry) { e.Limit = l } }
func dedup(s string, d time.Duration) func(*store.Entry) {
	return func(e *store.Entry) { e.Dedup, e.DedupFor = s, d }
}

// away sets the router's limits for a device that is not connected, and connected those for one
// that is.
func away(e *store.Entry) {
	e.Limit = store.Limit{Messages: 100, CollapseKeys: 4, Overflow: store.Discard}
}

func connected(e *store.Entry) {
	e.Limit = store.Limit{Messages: 1000, CollapseKeys: 4, Overflow: store.Refuse}
}

func (f fixture) put(batch ...store.Entry) []store.Outcome {
	f.Helper()
	return f.putAt(start, batch...)
}

func (f fixture) putAt(now time.Time, batch ...store.Entry) []store.Outcome {
	f.Helper()
	outcomes, err := f.Put(context.Background(), batch, now)
	require.NoError(f, err)
	require.Len(f, outcomes, len(batch))
	return outcomes
}

// keep puts entries that must all be stored and returns their IDs.
func (f fixture) keep(batch ...store.Entry) []store.ID {
	f.Helper()
	var ids []store.ID
	for i, o := range f.put(batch...) {
		require.Equal(f, store.Stored, o.Result, "%s", batch[i].Body)
		ids = append(ids, o.ID)
	}
	return ids
}

// fill puts n numbered messages, all of which must be stored.
func (f fixture) fill(n int, change ...func(*store.Entry)) []store.ID {
	f.Helper()
	batch := make([]store.Entry, n)
	for i := range batch {
		batch[i] = message(fmt.Sprintf("%03d", i), change...)
	}
	return f.keep(batch...)
}

func (f fixture) claim(k store.Key, l store.Lease, max int) []store.Entry {
	f.Helper()
	return f.claimAt(start, k, l, max)
}

func (f fixture) claimAt(now time.Time, k store.Key, l store.Lease, max int) []store.Entry {
	f.Helper()
	entries, err := f.Claim(context.Background(), k, l, max, now)
	require.NoError(f, err)
	return entries
}

// ack acknowledges entries and returns those that were not found.
func (f fixture) ack(k store.Key, ids ...store.ID) (missing []store.ID) {
	f.Helper()
	missing, err := f.Ack(context.Background(), k, ids...)
	require.NoError(f, err)
	return missing
}

func (f fixture) purge(k store.Key, app string) []store.ID {
	f.Helper()
	purged, err := f.Purge(context.Background(), k, app)
	require.NoError(f, err)
	return purged
}

func (f fixture) release(k store.Key, l store.Lease) {
	f.Helper()
	require.NoError(f, f.Release(context.Background(), k, l))
}

// sweep runs a whole sweep in steps of max.
func (f fixture) sweep(now time.Time, max int) (expired []store.Entry) {
	f.Helper()
	for more, calls := true, 0; more; calls++ {
		require.Less(f, calls, 1<<20, "the sweep does not end")
		var some []store.Entry
		var err error
		some, more, err = f.Expire(context.Background(), now, max)
		require.NoError(f, err)
		require.LessOrEqual(f, len(some), max)
		expired = append(expired, some...)
	}
	return expired
}

// waiting returns the bodies of all entries that a queue would offer to a new lease, in order.
func (f fixture) waiting(k store.Key) []string {
	f.Helper()
	const peek = store.Lease(1 << 60)
	defer f.release(k, peek)
	return bodies(f.claim(k, peek, 1<<20))
}

func bodies(entries []store.Entry) []string {
	var all []string
	for _, e := range entries {
		if e.Deleted != 0 {
			all = append(all, fmt.Sprintf("marker %s %d", e.App, e.Deleted))
			continue
		}
		all = append(all, string(e.Body))
	}
	return all
}

func idsOf(entries []store.Entry) []store.ID {
	var ids []store.ID
	for _, e := range entries {
		ids = append(ids, e.ID)
	}
	return ids
}

// same compares an entry that was claimed with the one that was put.
func (f fixture) same(want, got store.Entry) {
	f.Helper()
	assert.Equal(f, want.Key, got.Key)
	assert.Equal(f, want.Rank, got.Rank)
	assert.Equal(f, want.Rank, got.ID.Rank())
	assert.Equal(f, want.App, got.App)
	assert.Equal(f, want.Collapse, got.Collapse)
	assert.Equal(f, want.Dedup, got.Dedup)
	assert.True(f, want.Accepted.Truncate(time.Microsecond).Equal(got.Accepted), "accepted %s", got.Accepted)
	assert.Equal(f, want.Expires.UnixMilli(), got.Expires.UnixMilli())
	assert.Equal(f, string(want.Body), string(got.Body))
	assert.Zero(f, got.Deleted)
	assert.Zero(f, got.Limit, "Limit holds for the Put only")
}
