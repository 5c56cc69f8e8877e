// Package diskstore is the store.Store of a server without Redis: a directory, kept by Pebble
// (ccs/docs/design/03-committer.md says why). Any goroutine may call it.
//
// # Writing
//
// One goroutine, the committer, decides and writes everything that must be decided one after the other:
// limits, replacements, duplicates, registrations. It gathers what has arrived, applies it as one batch
// and leaves the waiting for the disk to a second goroutine, so that the next group gathers meanwhile.
// Callers take turns (store.WithCaller), so that one with little to do does not wait for all that another has
// handed over. Put returns when its batch is synced. A device's entry may be claimed from
// then on, another one a moment before; if the machine crashes in between, nobody was promised anything, and its ID
// is not given out again, because sequence numbers are reserved on disk before they are used. Ack marks entries in memory, which hides
// them at once, and returns when a group with their removal is synced, so that a device that was told of it
// need not name them again at its next login (DEV 7.2).
//
// An entry's key is written once and removed once, never overwritten: the engine may then drop both as
// soon as they meet (SingleDelete), most of them before they reach a table. What changes gets a new ID; so
// does a marker that is added to. Restore, which brings IDs along, first looks whether the key is there.
//
// # When the disk fails
//
// Less free space than the reserve (64 MiB, or a sixteenth of a small disk): what needs more space gets
// store.ErrUnavailable; claims, acknowledgements and expiry go on. Space is looked at four times a second.
//
// A write that finds no space, or no descriptor, waits up to five seconds and is tried again; meanwhile new
// writes are refused. If it still fails, or the disk fails in another way, nobody knows what is on disk. The
// engine is then severed from it (type disk), since it cannot handle the error itself: all that waits for a
// sync fails, reads go on, and once there is space again the database is closed, opened, and thereby read back
// and written anew. Sessions keep their leases. What was acknowledged is removed then, although Ack has
// returned an error; an entry that one of the failed batch was to replace waits again.
//
// If the engine gives up (Fatalf), or cannot be closed, only a new process can go on. The store says so by
// Broken, and ends all calls.
//
// The marks of the entries of a Put are one more record in its batch, so that a mark is there if and only if its entry
// was kept. Old marks are removed as a range.
//
// # Reading
//
// Of a queue without a lease nothing is in memory. A queue with leases knows how far each rank was read,
// has marks on the entries that leases hold or that are leaving, and keeps what was put or read ahead in
// a bounded buffer, so that a session that keeps up causes no reads. When a lease ends, the rank is read
// again from the first entry that it gives back.
//
// What limits need to know of a queue is a summary in a bounded cache. One that makes way leaves an entry count, the
// number of entries, which does for as long as the queue is far from full; else the summary is made again
// by reading the queue. An expired entry does not count, swept or not. There is no index of
// expiry: Expire walks over all entries, a part a call.
//
// Whether a string is remembered is asked of the disk only where a filter in memory does not know better.
//
// # Damage
//
// The engine takes an invalid chunk of its manifest or log for the end of the file, and then deletes the tables that
// it does not know. So Open reads all files before the engine does: markers, manifest, options, logs and the checksums
// of all tables. If one is damaged, Open refuses with a DamageError and leaves all files as they are.
//
// A torn tail of the newest log is no damage: a crash leaves one. Each batch in the log carries a mark that says which
// batches were on disk by then, and a mark is written when writing pauses, so that damage before the last synced
// batch is told from a torn tail. One second after that INVENTORY gets the size of the log, so that its end may not be
// missing either. One flipped bit is told by its checksum wherever it is. What can not be told is a group of bits that
// changed at the end of the log, if writing did not pause for a second before the crash: it looks like a torn tail.
//
// INVENTORY says which manifest and logs the store had, so that a missing or older one is noticed. It is written
// after Open, when files come and go, and by Close. INVENTORY.manifest is a copy of the manifest.
//
// Damage of a table that is found while the store is used is logged once. Calls that need the damaged part fail; Put
// reports Damaged for its queues. Compactions of it fail and are retried after a pause. If that fills level 0,
// the store fails, as it does when the disk fails.
//
// # Locks
//
// A Claim that reads from disk holds its queue's reading lock, so that two do not read the same, and then
// for moments the lock of the queue's shard. Nothing is read or written under a shard's lock, and the
// committer takes no other. Close and a new opening of the database take life, which every call holds for
// reading.
//
// # Cost
//
// Measured on 2 cores (Intel Xeon, ext4 on a VM disk, Go 1.26, other work beside it), 300-byte bodies,
// synced, CPU of the whole process with the engine's background work:
//
//	go test -run '^$' -bench . -benchtime 1s ./store/diskstore
//
//	Put, 1 caller,   batches of 1, 32, 256      14 k, 228 k, 365 k msg/s    36, 5.3, 4.5 µs/msg
//	Put, 8 callers,  batches of 1, 32, 256      61 k, 376 k, 410 k msg/s    12, 4.3, 4.2 µs/msg
//	Put, 64 callers, batches of 1, 32, 256     196 k, 449 k, 514 k msg/s   6.6, 3.9, 3.4 µs/msg
//	put, claim and ack, 8 callers, each acking device by device and waiting for the disk every time:
//	  1000 devices, batches of 32                     76 k msg/s   10.5 µs/msg
//	  the same with a backlog of 300,000 messages     93 k msg/s   11.6 µs/msg
//	  8 devices, batches of 256                      695 k msg/s    2.2 µs/msg
//	a million messages for 100,000 devices that are away: 39 MiB, opened again in 0.3 s
//	a message for one of 100,000 such devices, whose summaries do not all fit into memory: 7.4 µs
//	a registration that is in memory: 45 ns, no allocation
package diskstore
