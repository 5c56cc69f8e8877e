// Package ccs is the core of the server: the Router, which decides, and what endpoints and stores have in
// common.
//
// # The one idea
//
// A message has one life, whichever way it travels: accepted, stored, offered, acknowledged, forgotten. The
// XMPP, device and HTTP endpoints only translate; the router decides; the store remembers; a window bounds what
// is offered and not yet acknowledged. Both directions, and delivery receipts too, go through one kind of queue
// (store.Queue), one kind of view of it (Mailbox, of a device or shared), and one form at rest (Message).
//
// # Down
//
// xmppserver reads what the connection brings, takes a slot of the window for each message, and gives the batch
// to Router.Send. That looks the tokens up, checks, composes a Message each, and puts all of them with one
// Store.Put, which returns when they are durable: only now may the acks be written. Then the devices'
// sessions are woken. mcsserver, woken, claims what its window has room for and writes it, or keeps back what is to
// wait while the device says that it is idle (CCS 5.4); when the device
// acknowledges, first the receipt is stored that it owes and then the message is forgotten (Mailbox.Forget).
// A bad message is refused: the core says why with a Refusal, and each door has one table from the reasons to its own
// codes, such as those of nacks. Neither its batch nor its connection suffers.
//
// # Up
//
// The device's frames go to Router.SendUpstream, which puts them into the sender's queue; only then does the
// device get its stream acknowledgement. One of the sender's sessions is woken, claims, writes, waits for the
// app server's ack, and forgets. A message that can reach nobody becomes a send_error in the device's own queue.
//
// # Around
//
// A wake carries no data: a session pulls from the store, in order, so that there is one queue and nothing to
// lose when the session dies. A session that ends detaches, which gives its unacknowledged messages back. The
// newest login of a device wins; the app servers of a sender share its queue. A device may use xmppserver instead
// of mcsserver: the queue is the same, and so is what is said of it above. What is never stored, messages
// with a TTL of zero, goes to a session that is there now or to nobody.
//
// # What is counted and told
//
// The router changes queues only by the functions of queue.go. Each counts what it did in a Tally, once a batch, and
// tells an Observer, if there is one, with a batch of Events. The events alone say what each queue holds. In each
// direction, accepted messages have ended or wait.
//
// # Many nodes
//
// Where the store is a store.Coordinator, as the one in Redis is, any number of processes serve the same senders and
// devices; ccs/cluster makes a router one of them. They are equal, and the store is the truth. A queue is attached by
// the node that has a session for it: a device's by one, a sender's by any. A device's older session on another node
// is told to end and waited for. Claims belong to a node and a lease. A node that falls silent loses them, and learns
// so when it wakes up. What is put on one node wakes the session on another by a hint. Each node checks its attached
// queues once a second in case a hint got lost. What only one node knows holds for that node alone: the memory of
// repeats, the rates of devices and senders, and the order of one device's upstream messages among several connections.
//
// # Repeats
//
// An app server whose connection died before the answers came sends those messages again (CCS 4.3). The router knows
// the fingerprints of the messages that it accepted in the last ten minutes, and answers a repeat without storing it.
// A store that is store.Repeats keeps the fingerprints with the messages, so that they are known after kill -9 too. A
// node reads those of all nodes when it starts, and none later: a message that is sent again to another node, which
// runs already, is new to it.
//
// # What it costs
//
// CPU time of the server process for a message of 256 bytes over TLS, its engine's background work included; the
// embedded store with every sync, 1000 messages in flight on a connection, the clients on the same two cores
// (Intel Xeon, ext4 on a VM disk, Go 1.26). Medians of five runs, and in brackets the best: the machine goes at two
// speeds, a third apart, and changes between them every few minutes. Allocations are counted from the socket to the
// acknowledgement.
//
//	go test -run '^$' -bench 'Server|Login' -benchtime 2s ./ccs/ccstest
//
//	                                                            µs/msg   acked/s   allocs/msg
//	Downstream: accepted, synced, acked, delivered, its ack     5.7 (4.8)   211 k     2.3
//	DownstreamMemory: the same without a disk                   4.1 (3.8)   274 k     5.2
//	Away: accepted, synced, acked; 20,000 devices are away      6.5 (5.9)   200 k     0.6
//	Upstream: the other way, its ack included                   9.0 (7.4)   132 k     1.5
//	HundredDevices: one app server, a hundred devices          10.4 (8.1)   126 k     4.9
//	TenSenders: ten app servers, a hundred devices              7.9 (6.9)   187 k     2.8
//	Senders200: two hundred, 100 in flight each                 8.7 (8.3)   172 k     2.9
//	OnePerRecord: the client writes stanza by stanza            5.7 (5.2)   198 k     2.8
//	Queued1M: a million messages wait already                   5.6 (5.4)   226 k     2.3
//	QueuedAway1M: the same, for devices that are away           7.0 (6.5)   189 k     0.6
//	QueuedUpstream1M: the same, the other way                   9.0 (8.2)   143 k     1.5
//	Idle10k: ten thousand devices are connected                 7.1 (5.8)   187 k     2.3
//
//	acks at a steady 5,000/s, 20,000/s                     p99 2.1 ms, 2.5 ms
//	a login of an app server                               635 µs (523), without ML-KEM, which Go's client asks for, 533 µs (429)
//	a login of a device                                    575 µs (496), without ML-KEM 462 µs (353)
//	a start with a million messages in the store           0.3 to 1.0 s until all listeners accept
//	memory for them                                        8 MiB more than an empty server
//
// What is left of Downstream is the memtable and the log (a fifth), TLS and system calls (a quarter), parsing and
// the repeats table (a quarter). An upstream message costs more because it is remembered for two days: a second key
// with a random place costs a third of it, in the memtable and in compactions. With one app server and a hundred
// devices, each device's part of a batch is small. What ten thousand idle devices cost is their stacks, which the
// collector walks twice a second (scanstack, a tenth). Two thirds of a login are crypto/tls, half of that the key
// exchange. make profile shows all of this; make guard, in CI, holds allocations and the CPU time relative to
// encoding/json.
//
// # Who imports whom
//
// Downwards only; a test in this package holds it, with the reasons.
//
//	cmd/ccs
//	ccs/server        ccs/ccstest (server and clients)      ccs/load (clients alone)
//	ccs/xmppserver    ccs/mcsserver    ccs/httpserver       ccs/ccsclient    ccs/mcsclient
//	ccs               ccs/cluster    ccs/internal/{listener,eagerconn,admission}           ccs/mcs
//	store (memstore, diskstore, redisstore, storetest)      flowcontrol      stanza (doors and clients only)
//	payload
//
// # How the specification is cited
//
// "CCS n.m" in a comment is section n.m of ccs/docs/spec/ccs.md, which is about app servers. "DEV n.m" is section
// n.m of ccs/docs/spec/device.md, which is about devices. ccs/docs/glossary.md has the other pages and the words
// that the code uses. A test (ccs/internal/speccover) names each reference that leads nowhere.
//
// # Goroutines and locks
//
// Router and Mailbox may be used from any goroutine. Locks are taken in the order: Router.mu, a hub's, a
// session's own; none is held over I/O.
package ccs
