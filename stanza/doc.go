// Package stanza is the vocabulary of CCS, the app server's side of Google Cloud Messaging: the XML
// stream, the JSON in it, and the errors (CCS 1.3 to 3.7).
//
// Reader frames a connection's bytes into whole elements under hard limits. DecodeInbound reads what an
// app server may say, DecodeOutbound what a server may answer, the Append functions write both. Nothing
// here keeps a connection's state; a Reader belongs to one goroutine, everything else may be called from
// any.
package stanza
