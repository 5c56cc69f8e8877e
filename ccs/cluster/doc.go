// Package cluster lets several processes, called nodes, serve the same senders and devices from one store. The nodes
// are equal and the store is the truth: this package decides what a node does, and a store.Coordinator carries out each
// step atomically.
//
// # Membership
//
// A node sends two heartbeats in each Options.Heartbeat. A node that sent none for one and a half is declared dead by
// any other. One of the others then takes over its queues, in batches; all within two heartbeats. If nobody sent a
// heartbeat for that long, the store stood still, and no node is dead. A node that was declared dead learns so from its
// next heartbeat: it goes on under another ID and all its sessions end.
//
// # Queues
//
// A node attaches a queue before it claims from it. A device's queue has one session on all nodes: the node that has it
// is told to end its session and is waited for, and after a while the queue is taken from it. A sender's queue may be
// attached by every node. If a queue cannot be detached because the store is away, the node owes that and makes up for
// it before the queue is attached again.
//
// # Hints
//
// What one node stores wakes the sessions of another by a hint. Hints may get lost. So each node checks its attached
// queues once a second: whether entries wait, and whether the queues are still its own.
//
// The methods of a Cluster may be called from any goroutine. Those of Node are called from a goroutine of the Cluster
// and must not block. No lock is held over I/O or while the Node is called.
package cluster
