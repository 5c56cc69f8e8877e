// Package store defines the data that ccs remembers: the queues in which messages wait, and the
// registrations, projects and secrets that decide which sender may send to which device.
//
// It holds the interfaces, the records and the sentinel errors, and does no I/O. The stores are
// memstore (tests, emulator), diskstore (the default) and redisstore. Each of them passes
// storetest.
//
// Three rules hold for every store:
//
//   - Time is an argument. A store never reads the clock, so that a message's life can be tested in
//     milliseconds.
//   - Calls take batches. The messages of one read are routed, stored and answered together.
//   - When Put returns without an error, the entries that it reports as kept survive kill -9. An
//     ACK promises that (CCS 3.2). The same holds for Ack. Release may reach the disk later.
//
// All methods may be called from any goroutine.
package store
