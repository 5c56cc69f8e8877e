// Package xmppserver is the door for app servers: direct TLS, SASL PLAIN, resource binding, then
// <message><gcm>…</gcm></message> stanzas both ways (CCS 1 to 4). Devices may use it too.
//
// One stanza.Reader reads a connection from its first byte, so that nothing is lost between
// negotiation and traffic. A bound session has two goroutines. readLoop frames and decodes the
// peer's stanzas and takes a slot of the window for each message. Before it would have to wait for
// the connection, it passes on a batch. serveLoop gives the batch to the router, claims entries for
// the peer, and writes all output at once; only then are the slots free again. So the server stops
// reading from a peer that does not read its answers, and memory stays within the window (CCS 4.1).
// The session's role, appServer or device, interprets the peer's messages and writes those for the
// peer.
//
// # Devices
//
// GCM had devices on MCS only. Here a device that has an XMPP library and no MCS can log in on the
// same listeners. Its user name is ANDROID_ID@device.gcm.googleapis.com and its password the
// security token. If the user name has no domain, the domain of the stream's to counts. The device
// has the same queue as on MCS, and one session: the newest login wins, on either door. The older
// XMPP stream ends with the stream error conflict.
//
// The device gets messages in the form of CCS 3.6, for example
//
//	{"data":{"k":"v"},"time_to_live":3600,"from":"126200347933","message_id":"0:1767225600000000%8000000000000001","category":"com.example.app"}
//
// followed by subtype and collapse_key if there are any. message_id is the persistent ID, the same
// as on MCS. Two kinds have a message_type: deleted_messages, with total_deleted in its data, and
// send_error, with original_message_id, error and error_description in its data (DEV 9.3).
//
// The device acknowledges each message as an app server does (CCS 3.4), with any to, such as the
// from. That ends the message's life and sends the receipt, if one was requested. At most
// Profile.UpstreamWindow messages are unacknowledged at a time. An unacknowledged message comes
// again with the same message_id: on the next connection, and on a living one after
// Options.ResendAfter, then each time after twice as long (CCS 4.3). DEV 7.2 forbids such resends
// on MCS, where a client shows them to its app; a device on XMPP must check the message_id. A
// message with TTL 0 comes once, with an ID of its own.
//
// The device sends
//
//	{"to":"126200347933@gcm.googleapis.com","message_id":"u-1","category":"com.example.app","time_to_live":3600,"data":{"k":"v"}}
//
// and may add from, the registration token of the app. The ack has the form of that to an app
// server (CCS 3.2). It means that the message is stored, or that it failed and a send_error is on
// its way. A nack means that it was malformed or could not be stored. A device that gets neither
// sends the message again. For two days the server recognises it by its message_id, which must be
// unique among the device's messages. A device may send nothing else.
//
// Server may be used from any goroutine.
package xmppserver
