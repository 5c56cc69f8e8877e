// Package ccs is the core of the server: the Router, which decides, and what endpoints and stores have in
// common.
//
// # The one idea
//
// A message has one life, whichever way it travels: accepted, stored, offered, acknowledged, forgotten. The
// XMPP, device and HTTP endpoints only translate; the router decides; the store remembers; a window bounds what
// is offered and not yet acknowledged. Both directions, and delivery receipts too, go through one kind of queue
// (store.Queue), one kind of view of it (Mailbox), and one form at rest (Message).
//
// # Down
//
// xmppserver reads what the connection brings, takes a slot of the window for each message, and gives the batch
// to Router.Send. That looks the tokens up, checks, composes a Message each, and puts all of them with one
// Store.Put, which returns when they are durable: only now may the acks be written. Then the devices'
// sessions are woken. mcsserver, woken, claims what its window has room for and writes it, or keeps back what is to
// wait while the device says that it is idle (CCS 5.4); when the device
// acknowledges, a receipt is owed first (Router.SendReceipts) and then the message forgotten (Mailbox.Ack).
// A bad message becomes a nack with the code that check gives it, and neither its batch nor its connection
// suffers.
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
// # Many nodes
//
// Where the store is store.Nodes, as the one in Redis is, any number of processes serve the same senders and
// devices. They are equal, and the store is the truth. A queue is attached by the node that has a session for it: a
// device's by one, whose older session on another node is told to end and waited for, a sender's by any. Claims
// belong to a node and a lease; a node that falls silent loses them, and learns so when it wakes up. What is put on
// one node wakes the session on another by a hint, and each node looks at its attached queues once a second in case a
// hint got lost. What only one node knows holds for that node alone: the memory of repeats, the rates of devices
// and senders, and the order of one device's upstream messages among several connections.
//
// # Who imports whom
//
// Downwards only; a test in this package holds it, with the reasons.
//
//	cmd/ccs
//	ccs/server        ccs/ccstest (server and clients)      ccs/load (clients alone)
//	ccs/xmppserver    ccs/mcsserver    ccs/httpserver       ccs/ccsclient    ccs/mcsclient
//	ccs               ccs/conns                             ccs/mcs
//	store (memstore, diskstore, redisstore, storetest)      stanza           flowcontrol
//
// Router and Mailbox may be used from any goroutine. Locks are taken in the order: Router.mu, a hub's, a
// session's own; none is held over I/O.
package ccs
