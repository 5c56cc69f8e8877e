// Package xmppserver is the endpoint for app servers: direct TLS, SASL PLAIN, resource binding, then
// <message><gcm>…</gcm></message> stanzas both ways (CCS 1 to 4).
//
// One stanza.Reader owns a connection's bytes from the first one, so that nothing is lost between
// negotiation and traffic. A bound session has two goroutines. readLoop frames and decodes what the peer
// sends, takes a slot of the window for each message, and hands over a batch whenever it would have to
// wait for the connection. serveLoop has the router handle the batch, claims upstream messages, and
// writes all that has gathered at once; only then are the slots free again. So a peer that does not read
// its answers stops being read, and memory stays within the window (CCS 4.1).
//
// Server may be used from any goroutine.
package xmppserver
