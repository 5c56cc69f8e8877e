// Package redisstore is the store.Store for nodes that share a Redis, 7.0 or later: a single
// instance, one that sentinels watch, or a cluster. It may be called from any goroutine.
//
// # Keys
//
// Every key begins with the prefix of the store's URL. The part in braces decides the slot. All
// keys of one queue are in one slot, and {d:1234}, {s:1234}, {r:1234} are store.Key as text. Every
// key of a queue or a node expires. Keys of registrations and accounts are kept until they are
// deleted.
//
//	{<queue>}:q         hash    the queue: the record of each entry by its place, and
//	                            h    the last number used, the most entries it may have, when the keys
//	                                 expire, and when the first entry expires (four doubles)
//	                            o    the owners of the queue: node/lease; several for a sender's queue
//	                            b    until when it counts as connected (ms, by the clock of Redis)
//	                            l    how many leases have claimed
//	                            node/lease  the lease's number among these; x if it has ended for good
//	                            a<app>      how many entries of an app instance count for Discard, at most
//	                            k<app>      its collapse keys and their places, the least recently put first
//	{<queue>}:w         zset    its order: the place of each entry, and a score
//	                            0 to 3×2^50  it waits: the place itself
//	                            higher       it has expired, and waits for the sweep
//	                            negative     it is claimed: -, the lease's number, seven digits of the call's
//	                            +inf         no entry, but a member that keeps the key when there is none
//	{<queue>}:u:<sum>   string  a dedup string, by its hash: when it is forgotten (ms)
//	{d:<device>}:reg    hash    the device's registrations by token, and under "" the number of their changes
//	{d:<device>}:topics:<slot>  hash  the topics of a slot of the device: since when (µs), and the token
//	{topic:<sender>/<name>}:members  zset  the subscribers of a topic, by device and slot, with the same
//	{d:<device>}:groups:<slot>  hash  the device groups of a slot of the device
//	{g:<sender>/<sum>}:group  string  a device group, by the sum of its name, as JSON
//	{fanouts}:…         the fan-outs in progress: jobs, progress, senders, holders (a lease) and counts (of a project) are
//	                    hashes, free:<sender> and leases (when they lapse) zsets, held:<lease> a set, and turns a list of
//	                    the projects that have free ones
//	{t:<token>}:dev     string  the device of a token
//	{accounts}:…        hashes  projects, OAuth clients, refresh tokens, apps, daily counts and secrets, and their
//	                            owners
//	{c:<user>}:ch       hash    the instances of a user's apps: since when (µs), by app and device; "" says that the
//	                            user is known
//	{d:<device>}:ch     hash    the instances on a device: since when (µs), by user and app
//	{n:<node>}:q        zset    the queues that a node owns or has claimed from, by the number of its note
//	{n:<node>}:news             no key but a channel: the hints to the node
//	{nodes}:live        hash    the nodes, and when each sent its last heartbeat (ms, by the clock of Redis)
//	{nodes}:dead        hash    nodes whose queues must be taken over, and until when one node has that task
//	{nodes}:buried      hash    nodes whose queues were taken over, and when: such a node learns it when it resumes
//	{sweep}:lock        string  the node that sweeps
//	{…}:look            string  empty: written to check a Redis, in a slot of its own
//
// A place is an ID that fits into a double: the rank above 50 bits of sequence number. The number
// follows the clock of the node that puts, in microseconds. So no number is used twice, even if
// Redis has lost all its data.
//
// A queue's two keys outlive its entries by an eighth and two hours, so that not every Put has to
// extend them. Times of messages are never compared with the clock of Redis.
//
// # Scripts
//
// Each operation is a script in lua/, so it happens at once or not at all, whichever nodes call it.
// Starting a script costs Redis more than most of the work in it. So put, claim and ack handle the
// parts of many queues in one run. A part that fails does not affect the others. In a cluster such
// a run touches keys of several slots. Scripts without flags may do that, if all slots are on the
// same node. KEYS has only the first key, for the client to route by. If a slot is moving, the
// script notices before it has changed anything of the part.
//
// A Redis whose memory is used up (maxmemory) runs no command that may need more. Scripts that
// claim, give back and forget have the flag allow-oom, because it must be possible to remove
// entries; put has not.
//
// # Calls
//
// Package transport takes calls to the Redis that has their keys, repeats those that may be
// repeated, and knows which Redis is failing. Put and Registrations do as much as they can and
// return a store.PartialError for the rest. A Put whose reply was lost fails and promises nothing.
// Claim is repeated with a flag, with which the script first gives back the entries of the lost
// reply. The other calls may be done twice.
//
// Entries keep their order in all cases. After a part of a batch has failed, no later part of its
// queue is put. A lease whose claim got no reply claims the same entries again. A session that
// could not be detached is detached before the next one claims.
//
// # Nodes
//
// The Store is a store.Coordinator; package ccs/cluster decides when to take its steps. A lease in
// Redis is a node and a number. The node notes each queue before it attaches it or claims from it,
// so that TakeOver finds the queues of a dead node. UpdateMembers compares before it writes, so the
// decision which nodes are dead needs no script. After Enter only an attached lease may claim, so
// late calls of a dead node claim nothing.
//
// Put and the release of a lease return the nodes that own the queue. The Cluster sends those a
// hint (publish, in a cluster of Redis spublish).
//
// # Sweep
//
// There is no index of expiry. Expire walks over the keys with SCAN, primary by primary, and looks
// into a queue only if its first entry may have expired. One node sweeps at a time.
//
// # Cost
//
// ccs/docs/performance.md has the cost of a Put, a Claim and an Ack, and the parts of it.
package redisstore
