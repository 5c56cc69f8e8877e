// Package load puts a CCS under load and counts exactly what becomes of every message.
//
// Run does what a Plan says to a Target: app servers send over ccsclient, devices receive and acknowledge
// over mcsclient, or over ccsclient if the plan has them speak XMPP, and a stream of Samples, one a second, goes to
// Reporters, with a Result at the end. It is made of clients alone, so that it can drive any CCS.
//
// # Counting
//
// Every payload carries a sequence: the run, the stream, the number of the message in its stream, and when the
// message was due. A stream is all that one connection sends to one device, the order that the server has to
// keep (CCS 5 no. 11). The receiver knows of every number whether it came, once, twice, late or never;
// the sender's knows which were refused. So what is lost, duplicated or out of order is counted and never
// inferred, through reconnects and restarts of the server. What was sent and not answered when a connection
// ended is sent again under its message_id (CCS 4.3). So does the server to a device on XMPP, which counts as
// duplicated; on MCS a login names what has come (DEV 7.2).
//
// Memory is bounded however long a run is: a receiver keeps maxSpans gaps and says so if there were more, the
// timeline halves its resolution when it is full, and a connection has as many messages as may be in flight.
//
// # Time
//
// Without a rate each connection keeps its messages in flight: a closed loop, in which a slow server slows
// its load down. With a rate messages are due when a schedule says so, and latency counts from then, so that
// a server that stalls can't hide it. The load grows during the ramp, which is not measured.
//
// # Outages
//
// An Outage is a time in which nobody of one side was connected, or in which nothing came that was waited for.
// Connections are counted as they come and go; for silence the counters are looked at every watchEvery. If that look
// itself is late, the load tool stood still, and the server is not blamed. How late a message was sent is
// divided: what its app server waited for a connection or a place in the window is the server's, the rest is the load tool's.
//
// # Goroutines
//
// Each app server's connection has one that sends; answers and deliveries are counted by the clients' own,
// into meters with a lock for each group of them. Run owns all and returns when they have ended.
package load
