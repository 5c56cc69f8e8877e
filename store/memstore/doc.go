// Package memstore is a store.Store in memory, for tests and the emulator. It keeps every rule of
// the interface but one: nothing survives Close.
//
// A queue belongs to one of a fixed number of shards, and a call holds the lock of one shard at a
// time; no lock is shared by all queues. An entry that is claimed when it expires stays with its
// lease until the lease acknowledges or releases it.
//
// Share lets several nodes of one process use a store, for tests of nodes. Each has a Node, which
// is a store.Coordinator.
package memstore
