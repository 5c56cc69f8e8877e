// Package store says what ccs remembers: the queues in which messages wait, and the
// registrations, projects and secrets that decide who may send to whom.
//
// It holds the interfaces, the records and the sentinel errors, and nothing that does I/O. The stores
// themselves are memstore (tests, emulator), diskstore (the default) and redisstore; every one of them
// passes storetest.
//
// Three rules hold for every store:
//
//   - Time is an argument. A store never reads the clock, so that a message's life can be tested in
//     milliseconds.
//   - Calls take batches. What one read brought in is routed as one, stored as one and answered as one.
//   - When Put returns without an error, what it reports as kept survives kill -9. That is what an ACK
//     promises (CCS 3.2). The same holds for Ack. Release may reach the disk later.
//
// All methods may be called from any goroutine.
package store
