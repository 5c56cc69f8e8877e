// Package load puts a CCS under load and counts exactly what happens to every message.
//
// Run applies a Plan to a Target. App servers send over ccsclient. Devices receive and acknowledge
// over mcsclient, or over ccsclient if the plan makes them speak XMPP. Reporters get a Sample
// every second and a Result at the end. The package uses only clients, so that it can drive any
// CCS.
//
// # Counting
//
// Every payload carries a sequence: the run, the stream, the number of the message in its stream,
// and the time at which the message was due. A stream contains all messages from one connection to
// one device; the server must keep their order (CCS 5 no. 11). For every number the receiver knows
// whether the message arrived once, twice, late or never. The sender knows which messages were
// refused. So lost, duplicated and reordered messages are counted and never inferred, through
// reconnects and restarts of the server. A message that was not answered when its connection ended
// is sent again under its message_id (CCS 4.3). The server also sends a message again to a device
// on XMPP, which counts as duplicated. On MCS a login names the received messages (DEV 7.2).
//
// Memory is bounded, however long a run is. A receiver keeps maxSpans gaps and reports if there
// were more. The timeline halves its resolution when it is full. A connection has as many messages
// as may be in flight.
//
// # Time
//
// Without a rate each connection keeps its messages in flight: a closed loop, in which a slow
// server slows its load down. With a rate a schedule says when messages are due, and latency
// counts from then, so a stall of the server always shows. The load grows during the ramp, which
// is not measured.
//
// # Outages
//
// An Outage is a time in which nobody of one side was connected, or in which nothing arrived
// although something was expected. Connections are counted as they come and go. For silence the
// counters are checked every watchEvery. If that check itself is late, the load tool stood still,
// and the outage does not count against the server. The delay of a message is divided. The wait of
// its app server for a connection or a slot in the window counts against the server, the rest
// against the load tool.
//
// # Goroutines
//
// Each connection of an app server has a goroutine that sends. The goroutines of the clients count
// answers and deliveries, into meters with a lock for each group of goroutines. Run owns all
// goroutines and returns when they have ended.
package load
