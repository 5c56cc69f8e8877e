// Package xmppserver is the endpoint for app servers: direct TLS, SASL PLAIN, resource binding, then
// <message><gcm>…</gcm></message> stanzas both ways (CCS 1 to 4). Devices may use it too.
//
// One stanza.Reader owns a connection's bytes from the first one, so that nothing is lost between
// negotiation and traffic. A bound session has two goroutines. readLoop frames and decodes what the peer
// sends, takes a slot of the window for each message, and hands over a batch whenever it would have to
// wait for the connection. serveLoop has the router handle the batch, claims what there is for the peer, and
// writes all that has gathered at once; only then are the slots free again. So a peer that does not read
// its answers stops being read, and memory stays within the window (CCS 4.1). What the peer's messages mean, and
// how those for it are written, is its role's: appServer or device.
//
// # Devices
//
// GCM had devices on MCS alone. Here one that has an XMPP library and no MCS logs in on the same listeners, as
// ANDROID_ID@device.gcm.googleapis.com with its security token for the password; where the user name has no
// domain, that of the stream's to counts. It has the queue that it has on MCS, and one session: the newest login
// wins, on either endpoint, and the older XMPP stream ends with the stream error conflict.
//
// It gets messages in the form of CCS 3.6, for example
//
//	{"data":{"k":"v"},"time_to_live":3600,"from":"126200347933","message_id":"0:1767225600000000%8000000000000001","category":"com.example.app"}
//
// with subtype and collapse_key behind it where there is one. message_id is the persistent id, which is the same on
// MCS. Two have a message_type: deleted_messages, with total_deleted in its data, and send_error, with
// original_message_id, error and error_description in its data (DEV 9.3). It acknowledges each as an app server
// does (CCS 3.4), with any to, such as the from; that ends the message's life, and has the receipt sent that was asked
// for. At most Profile.UpstreamWindow are unacknowledged at a time. What is not acknowledged comes again with the
// same message_id: on the next connection, and on a living one after Options.ResendAfter, and then after twice as
// long each time (CCS 4.3). DEV 7.2 forbids the latter for MCS, where a client shows its app what it gets twice; a
// device on XMPP is to look at the message_id. A message with TTL 0 comes once, with an id of its own.
//
// It sends
//
//	{"to":"126200347933@gcm.googleapis.com","message_id":"u-1","category":"com.example.app","time_to_live":3600,"data":{"k":"v"}}
//
// and may add from, the registration token of the app. The ack, as to an app server (CCS 3.2), says that the
// message is stored, or that it came to nothing and a send_error is on its way; a nack, that it was malformed or could
// not be stored. A device that gets neither sends the message again: for two days the message_id, which is to be new
// among the device's messages, tells the server what it has already. A device may send nothing else.
//
// Server may be used from any goroutine.
package xmppserver
