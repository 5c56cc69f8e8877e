// Package stanza is the vocabulary of CCS, the app server's side of Google Cloud Messaging: the XML
// stream, the JSON in it, and the errors (CCS 1.3 to 3.7).
//
// Reader frames a connection's bytes into whole elements under hard limits. DecodeInbound reads what an
// app server may say, DecodeOutbound what a server may answer, the Append functions write both. Nothing
// here keeps a connection's state; DecodeFromDevice and ToDevice are the words of a device that uses XMPP too, in
// the same forms. A Reader belongs to one goroutine, everything else may be called from
// any.
//
// A message is read, decoded and answered without copying or allocating anything but the Reader's chunks:
// the strings of a Downstream are part of what came over the connection. They stay valid, but clone what is
// kept for long (see Reader).
//
// The vectors in testdata/stanza pin what is accepted, what is refused, and how.
package stanza
