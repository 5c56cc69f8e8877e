// Package transport sends calls of scripts to the Redis that has their keys: one instance, one
// watched by sentinels, or the primaries of a cluster. It does not depend on what the scripts do.
// Any goroutine may use a Transport.
//
//	Run, Carry                    repeats what failed and may be repeated, until Options.Retry has passed   run.go
//	   |
//	   v
//	send                          sorts calls by the Redis that has the slot of their first key            route.go
//	   |
//	   +--> shard                 one for each Redis
//	          |
//	          v
//	        admit                 ends calls that the condition of the Redis does not permit               health.go
//	          |                        ^
//	          |                        +-- looks, every lookEvery while it is not well
//	          +--> plain pipeline     calls in the order in which they came                                    pipeline.go
//	          +--> durable pipeline   calls that replicas must confirm: WAIT, WAITAOF                          wait.go
//	                 |
//	                 v
//	               gather         what has come while Redis worked on the pipeline before
//	                 |
//	                 v
//	               commands       calls of one batch script become one EVALSHA                             command.go, part.go
//	                 |
//	                 v
//	               Redis          unknown scripts are taught, replies go to their calls                    failure.go
//
// # Calls
//
// All calls for one Redis go through one pipeline: while Redis works on a pipeline, the next
// gathers. Calls that replicas must confirm have a pipeline of their own, so that the others do not
// wait for them. A call that certainly changed nothing is repeated until Options.Retry has passed.
// A call whose reply was lost is repeated only if it is Safe.
//
// Read and ReadEach run plain commands that change nothing.
//
// # Trouble
//
// A Redis is down if it does not answer, weak if too few of its replicas confirm changes, and full
// if its memory is used up (maxmemory). Calls find trouble, and a look every lookEvery finds its
// end. The log reports both, once; for the only Redis, Health does. In a cluster, calls for a Redis
// in trouble fail at once with store.ErrUnavailable while the others work. A weak or full Redis
// gets no new data, but still gives out and forgets entries. A call that is not Hasty waits for the
// end of the trouble until Options.Retry has passed. Calls for the queue of one device are not
// Hasty. Calls for the queue of a sender are, because a connection of an app server carries
// messages of all queues.
//
// Set cluster-require-full-coverage to no. Otherwise all primaries of Redis refuse everything until
// the replica of the dead primary has taken over.
//
// Lock order: health.mu, then pipes.mu. Neither is held over I/O.
package transport
