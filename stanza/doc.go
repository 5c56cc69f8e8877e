// Package stanza implements the wire format of CCS, the app server's side of Google Cloud
// Messaging: the XML stream, the JSON in it, and the errors (CCS 1.3 to 3.7).
//
// Reader splits a connection's bytes into whole elements under hard limits. DecodeInbound decodes
// the payloads of app servers, DecodeOutbound those of servers. The Append functions write both.
// DecodeFromDevice and ToDevice do the same for a device that uses XMPP too, in the same forms.
//
// The package keeps no state of a connection. A Reader belongs to one goroutine. Everything else
// may be called from any goroutine.
//
// A message is read, decoded and answered without copying or allocating anything but the Reader's
// chunks. The strings of a Downstream share the memory of the bytes that came over the connection.
// They stay valid, but the caller should clone strings that it keeps for long (see Reader).
//
// The vectors in testdata/stanza define the accepted and refused input, and the errors.
package stanza
