// Package diskstore is the store.Store of a server without Redis. It keeps its data in a directory
// with Pebble (ccs/docs/design/03-committer.md says why). Any goroutine may call it.
//
// # Writing
//
// One goroutine, the committer, makes and writes all decisions that must be made in order: limits,
// replacements, duplicates, registrations. It gathers the waiting work, applies it as one batch
// and goes on with the next group. A second goroutine, the finisher, waits for the disk. Callers
// take turns (store.WithCaller), so that a caller with little work does not wait for all work of
// another. Put returns when its batch is synced. A device's entry may be claimed from then on, an
// app server's a moment before. If the machine crashes in between, no promise is broken. The ID of
// the lost entry is not given out again, because sequence numbers are reserved on disk before they
// are used.
//
// Ack marks entries in memory, which hides them at once. It returns when a group with their
// removal is synced. So a device that was told of it need not name them again at its next login
// (DEV 7.2).
//
// An entry's key is written once and removed once, never overwritten. The engine may then drop
// both as soon as they meet (SingleDelete), most of them before they reach a table. A changed
// entry gets a new ID, and so does a marker whose count grows. Restore keeps the IDs of entries,
// so it first checks whether the key exists.
//
// # When the disk fails
//
// While free space is below the reserve (64 MiB, or a sixteenth of a small disk), calls that need
// more space get store.ErrUnavailable. Claims, acknowledgements and expiry go on. The store checks
// free space four times a second.
//
// A write that finds no space, or no descriptor, waits up to five seconds and is tried again. New
// writes are refused during that time. If the write still fails, or the disk fails in another way,
// the state of the disk is unknown. The engine cannot handle such an error, so the store severs it
// from the disk (type disk). All calls that wait for a sync fail, and reads go on.
//
// Once there is space again, the database is closed and opened, and thereby read back and
// rewritten. Sessions keep their leases. Acknowledged entries are removed then, although Ack has
// returned an error. An entry that one of the failed batch should have replaced waits again.
//
// If the engine gives up (Fatalf), or cannot be closed, only a new process can go on. The store
// reports this by Broken, and ends all calls.
//
// The marks of the entries of a Put are one more record in its batch. So a mark exists if and only
// if its entry was kept. Old marks are removed as a range.
//
// # Reading
//
// A queue without a lease is not in memory. A queue with leases knows how far each rank was read.
// It has marks on the entries that leases hold or that are leaving. A bounded buffer holds entries
// that were put or read ahead, so that a session that keeps up causes no reads. When a lease ends,
// the rank is read again from the first entry of that lease.
//
// The limits of a queue need a summary, which is in a bounded cache. An evicted summary leaves the
// number of entries, which is enough while the queue is far from full. Otherwise the summary is
// rebuilt from the queue. An expired entry does not count, swept or not. There is no index of
// expiry: Expire walks over all entries, a part in each call.
//
// A filter in memory answers most questions whether a string is remembered. The disk is asked only
// where the filter cannot say no.
//
// # Damage
//
// The engine takes an invalid chunk of its manifest or log for the end of the file. It then
// deletes the tables that it does not know. So Open reads all files before the engine does:
// markers, manifest, options, logs and the checksums of all tables. If one is damaged, Open
// refuses with a DamageError and leaves all files as they are.
//
// A torn tail of the newest log is no damage, because a crash leaves one. Each batch in the log
// carries a mark that says which batches were on disk at that time. A mark is also written when
// writing pauses. So damage before the last synced batch differs from a torn tail. One second
// after that, INVENTORY gets the size of the log, so that a missing end is noticed too. A checksum
// finds one flipped bit anywhere. One case looks like a torn tail: a group of changed bits at the
// end of the log, if writing did not pause for a second before the crash.
//
// INVENTORY names the manifest and logs of the store, so that a missing or older one is noticed.
// It is written after Open, when files come and go, and by Close. INVENTORY.manifest is a copy of
// the manifest.
//
// Damage of a table that is found while the store is used is logged once. Calls that need the
// damaged part fail, and Put reports Damaged for its queues. Compactions of it fail and are
// retried after a pause. If that fills level 0, the store fails, as it does when the disk fails.
//
// # Locks
//
// A Claim that reads from disk holds the reading lock of its queue, so that two do not read the
// same. Then it takes the lock of the queue's shard for moments. Nothing is read or written under
// a shard's lock, and the committer takes no other lock. Close and each reopening of the database
// take life, which every call holds for reading.
//
// # Cost
//
// The benchmarks measure batches of 300-byte bodies, synced, with the CPU of the whole process and
// the engine's background work. docs/performance.md has the results.
//
//	go test -run '^$' -bench . -benchtime 1s ./store/diskstore
package diskstore
