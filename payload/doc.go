// Package payload holds the content of a message, and the rules that the protocol has for it, in no wire format.
//
// Data is the form that a message's pairs have in the core and at rest. The wire formats translate to it and from it:
// package stanza for XMPP, and the doors for devices and for HTTP. The rules (the limits, the range of time_to_live, the
// priorities, the reserved keys) are here once, so that every door decides by the same ones (CCS 2.3, 2.4, 2.6).
//
// Everything here may be called from any goroutine.
package payload
