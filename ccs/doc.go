// Package ccs is the core of the server: the Router, which decides, and the types that doors and
// stores share.
//
// # The one idea
//
// A message has one life, whichever way it travels: accepted, stored, offered, acknowledged,
// forgotten. The doors (XMPP, MCS, HTTP) only translate, the router decides, the store remembers,
// and a window bounds what is offered and not yet acknowledged. Both directions, and delivery
// receipts, use one kind of queue (store.Queue), one kind of view of it (Mailbox, of a device or
// shared), and one form at rest (Message).
//
// # Down
//
// xmppserver reads what the connection brings, takes a slot of the window for each message, and
// gives the batch to Router.Send. Router.Send looks the tokens up, checks, composes a Message each,
// and stores all of them with one Store.Put. Put returns when they are durable; only then may the
// acks be written. Then the devices' sessions are woken.
//
// A woken mcsserver session claims what its window has room for and writes it. While the device
// says that it is idle, the session defers messages with delay_while_idle (CCS 5.4). When the
// device acknowledges, the receipt that the message owes is stored first, and then the message is
// forgotten (Mailbox.Forget).
//
// The core refuses a bad message with a Refusal. Each door has one table from the reasons to its
// own codes, such as those of nacks. The message's batch and its connection go on.
//
// # Up
//
// The device's frames go to Router.SendUpstream, which puts them into the sender's queue; only then
// does the device get its stream acknowledgement. One of the sender's sessions is woken, claims,
// writes, waits for the app server's ack, and forgets. A message that can reach nobody becomes a
// send_error in the device's own queue.
//
// # Around
//
// A wake carries no data: a session pulls from the store, in order. So there is one queue, and
// nothing to lose when the session dies. A session that ends detaches, which releases its
// unacknowledged messages. The newest login of a device wins; the app servers of a sender share its
// queue. A device may use xmppserver instead of mcsserver, with the same queue and the same rules.
// Messages with a TTL of zero are never stored: a session that is attached at that moment gets
// them, or they are dropped.
//
// # What is counted and reported
//
// The router changes queues only by the functions of queue.go. Each counts what it did in a Tally,
// once a batch, and reports it to an Observer, if there is one, with a batch of Events. The events
// suffice to know what each queue holds. In each direction, every accepted message has ended or
// waits.
//
// # Many nodes
//
// If the store is a store.Coordinator, as the one in Redis is, any number of processes serve the
// same senders and devices; ccs/cluster makes a router one of them. The nodes are equal, and only
// the store is authoritative. A node with a session for a queue attaches the queue: one node at a
// time for a device's, any number for a sender's. A device's older session on another node is told
// to end, and the new session waits for that.
//
// Claims belong to a node and a lease. A node that falls silent loses them, and learns so when it
// resumes. A message put on one node wakes the session on another by a hint. Each node also checks
// its attached queues once a second, in case a hint got lost. Some knowledge is local to a node:
// the memory of repeats, the rates of devices and senders, and the order of one device's upstream
// messages among several connections.
//
// # Repeats
//
// An app server whose connection died before the answers came sends those messages again (CCS 4.3).
// The router keeps the fingerprints of the messages that it accepted in the last ten minutes, and
// answers a repeat without storing it. A store that is store.Repeats keeps the fingerprints with
// the messages, so that repeats are known after kill -9 too. A node reads the fingerprints of all
// nodes only when it starts. A message that is sent again to another running node is new to it.
//
// # Topics and groups
//
// A message to a topic or a condition is stored as a fan-out (store.Fanout), and answered.
// Workers on every node claim fan-outs from the store, walk over the subscribers in the order of
// their places, and store each batch of copies together with the progress. So each subscriber
// gets one copy, whichever process is killed. A worker gives a fan-out back after a second, and
// the store gives projects their turns. A message to a device group is a copy for each member in
// the same Send.
//
// # What it costs
//
// ccs/docs/performance.md has the cost of a message in each direction and of a login, and how to
// measure it. make profile shows where the time goes. make guard, in CI, limits allocations and the
// CPU time relative to encoding/json.
//
// # Who imports whom
//
// Imports go downwards only. A test in this package enforces it, with the reasons.
//
//	cmd/ccs
//	ccs/server        ccs/ccstest (server and clients)      ccs/load (clients alone)
//	ccs/xmppserver    ccs/mcsserver    ccs/httpserver       ccs/ccsclient    ccs/mcsclient
//	ccs               ccs/cluster    ccs/internal/{listener,eagerconn,admission}           ccs/mcs
//	store (memstore, diskstore, redisstore, storetest)      flowcontrol      stanza (doors and clients only)
//	ccs/payload    ccs/domains
//
// # How the specification is cited
//
// "CCS n.m" in a comment is section n.m of ccs/docs/spec/ccs.md, which is about app servers.
// "DEV n.m" is section n.m of ccs/docs/spec/device.md, which is about devices. ccs/docs/glossary.md
// has the other pages, and the words that the code uses. A test (ccs/internal/speccover) names each
// reference that leads nowhere.
//
// # Goroutines and locks
//
// Router and Mailbox may be used from any goroutine. The lock order is: Router.mu, a hub's mu, a
// session's own lock. None is held over I/O.
package ccs
