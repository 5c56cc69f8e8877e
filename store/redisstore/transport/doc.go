// Package transport takes calls of scripts to the Redis that has their keys: one instance, one behind sentinels, or the
// primaries of a cluster. It knows nothing of what the scripts do. Any goroutine may use a Transport.
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
//	          +--> plain pipe     calls in the order in which they came                                    pipe.go
//	          +--> durable pipe   calls that replicas must confirm: WAIT, WAITAOF                          wait.go
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
// All calls for one Redis go through one pipe: while Redis works on a pipeline, the next gathers. Calls that replicas
// must confirm have a pipe of their own, so that the others do not wait for them. A call that certainly changed nothing
// is repeated until Options.Retry has passed. A call whose reply was lost is repeated only if it is Safe.
//
// Read and ReadEach run plain commands that change nothing.
//
// # Trouble
//
// A Redis is down if it does not answer, weak if too few of its replicas confirm what it is told, full if its memory is
// used up (maxmemory). Calls notice that, and a look every lookEvery notices its end. The log says both, once; of the
// only Redis, Health does. In a cluster, calls for a Redis in trouble fail at once with store.ErrUnavailable while the
// others work. A weak or full Redis is told nothing new, but hands out and forgets what it has. A call that is not Hasty
// waits for the end of the trouble, as long as Options.Retry says. Calls for the queue of one device are not; calls for
// the queue of a sender are, because a connection of an app server carries messages of all queues.
//
// Set cluster-require-full-coverage to no. Otherwise Redis itself has all primaries refuse everything until the dead
// one's replica has taken over.
//
// Lock order: health.mu, then pipes.mu. Neither is held over I/O.
package transport
