// Package payload holds the content of a message, and the protocol's rules for it, independent of
// any wire format.
//
// Data is the form of a message's pairs in the core and in the store. The wire formats translate
// to it and from it: package stanza for XMPP, and the doors for devices and for HTTP. The rules
// (the limits, the range of time_to_live, the priorities, the reserved keys) are only in this
// package, so that every door applies the same ones (CCS 2.3, 2.4, 2.6).
//
// Everything here may be called from any goroutine.
package payload
