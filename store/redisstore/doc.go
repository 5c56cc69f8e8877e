// Package redisstore is the store.Store of a server whose nodes share a Redis, 7.0 or later: one instance, one
// behind sentinels, or a cluster. Any goroutine may call it.
//
// # Keys
//
// Every key begins with the prefix of the store's URL. What is in braces decides the slot: all keys of one queue are
// in one, and {d:1234}, {s:1234}, {r:1234} are store.Key as text. Every key of a queue or a node expires; what concerns
// registrations and accounts is kept until it is deleted.
//
//	{<queue>}:q         hash    the queue: the record of each entry by its place, and
//	                            h    the last number given out, how many entries there are at most, until when the
//	                                 keys last, and when the first entry expires (four doubles)
//	                            o    who has the queue: node/lease, of a sender's queue as many as there are
//	                            b    until when it counts as connected (ms, by the clock of Redis)
//	                            l    how many leases have claimed
//	                            node/lease  the lease's number among these; x if it has ended for good
//	                            a<app>      how many entries of an app instance count for Discard, at most
//	                            k<app>      its collapse keys and their places, the least recently put first
//	{<queue>}:w         zset    its order: the place of each entry, and what its score says
//	                            0 to 3×2^50  it waits: the place itself
//	                            higher       it has expired, and waits for the sweep
//	                            negative     it is claimed: -, the lease's number, seven digits of the call's
//	                            +inf         no entry, but what keeps the key when there is none
//	{<queue>}:u:<sum>   string  a dedup string, by its hash: when it is forgotten (ms)
//	{d:<device>}:reg    hash    the device's registrations by token, and under "" the number of their changes
//	{d:<device>}:topics:<slot>  hash  the topics of a slot of the device: since when (µs), and the token
//	{topic:<sender>/<name>}:members  zset  the subscribers of a topic, by device and slot, with the same
//	{fanouts}:…         the fan-outs in progress: jobs, progress, holders (a lease), counts (of each project), all hashes;
//	                    free and leases (when they lapse) are zsets, held:<lease> a set
//	{t:<token>}:dev     string  the device of a token
//	{accounts}:…        hashes  projects, OAuth clients, refresh tokens and secrets, and what belongs to what
//	{n:<node>}:q        zset    the queues that a node has or has claimed from, by the number of its note
//	{n:<node>}:news             no key but a channel: the hints to the node
//	{nodes}:live        hash    the nodes, and when each sent its last heartbeat (ms, by the clock of Redis)
//	{nodes}:dead        hash    nodes whose queues must be taken over, and until when one node has that task
//	{nodes}:buried      hash    nodes whose queues were taken over, and when: should one wake up, it learns so
//	{sweep}:lock        string  the node that sweeps
//	{…}:look            string  nothing: written to find out whether a Redis works, in a slot that it has
//
// A place is an ID that fits a double: the rank above 50 bits of sequence number. That number follows the clock of
// the node that puts, in microseconds, so that none is given out twice even when Redis has lost all it had.
//
// A queue's two keys last longer than what they hold, by an eighth and two hours, so that not every Put has to
// extend them. Times of messages are never compared with the clock of Redis.
//
// # Scripts
//
// Each operation is a script in lua/, so that it happens at once or not at all, whichever nodes call it. To begin
// with a script costs Redis more than most of what the scripts then do. So put, claim and ack take the parts of many
// queues in one run; a part that fails fails alone. In a cluster such a run touches keys of several slots, which
// scripts without flags may, if all slots are of the node; KEYS names but the first, for the client to route by. If
// a slot is moving, the script finds out before it has changed anything of the part.
//
// A Redis whose memory is used up (maxmemory) runs no command that may need more. Scripts that hand out, give back and
// forget have the flag allow-oom, for what is stored must be able to go; put has not.
//
// # Calls
//
// Package transport takes calls to the Redis that has their keys, repeats those that may be, and knows which Redis is in
// trouble. Put and Registrations do what they can and return a store.PartialError for the rest. If the reply to a Put was
// lost it fails, and nothing is promised; Claim is repeated with a word to the script, which first gives back what the
// lost reply named; the rest may be done twice.
//
// Entries keep their order through all that. Of a batch that failed nothing later is put. A lease whose claim had no
// reply claims the same entries again. A session that could not be detached is detached before the next one claims.
//
// # Nodes
//
// The Store is a store.Coordinator; package ccs/cluster decides when its steps are taken. A lease in Redis is a node and
// a number. The node notes each queue before it attaches it or claims from it, so that TakeOver finds what a dead node
// held. UpdateMembers compares before it writes, so that the decision who is dead needs no script. After Enter only a
// lease that is attached may claim, so that late calls of a dead node claim nothing.
//
// Put and the release of a lease answer which nodes have the queue; the Cluster sends those a hint (publish, in a cluster
// of Redis spublish).
//
// # Sweep
//
// There is no index of expiry: Expire walks over the keys with SCAN, primary by primary, and looks into a queue
// only if the time has come for its first entry. One node sweeps at a time.
//
// # Cost
//
// Measured on 2 cores that Redis 7.0 shares, appendfsync everysec, 32 callers, 10,000 queues, 300-byte bodies; a cycle
// is a Put, a Claim and an Ack of one entry, each a call of its own. Medians of five, on a machine whose speed varied
// by half from run to run:
//
//	go test -run '^$' -bench Cycle -benchtime 100000x ./store/redisstore
//
//	one instance                                  32,100 cycles/s    26 µs of Redis for each    (best: 35,500 and 22)
//	three primaries                               29,700 cycles/s    38 µs of Redis for each    (best: 33,500 and 34)
//	three primaries, 32 callers for each of them  39,900 cycles/s    29 µs of Redis for each    (best: 44,300 and 26)
//
// With one instance Redis works 85 % of the time: its one thread is the limit. The eight commands inside the scripts
// make up the half of it, appending to its file 15 %, and Lua, which hashes each byte of each string that it is given,
// 14 %. Faster than that takes fewer commands (an order that is not in a key of its own), or a layout in which many
// queues share keys. What a cluster adds for as many callers for each primary is a tenth; if all have 32 callers
// together, each has a third, and so smaller batches. A server has larger batches than these callers: with one
// connection and a thousand messages in flight, ccs load saw 81,000 messages a second go through a Redis on the same
// two cores, acknowledged and delivered.
package redisstore
