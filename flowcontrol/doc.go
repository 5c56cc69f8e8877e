// Package flowcontrol counts messages and bytes that were offered and are not yet answered.
//
// GCM bounds both directions of every connection by such a count, which it calls pending messages
// (CCS 4.1, 4.2). Bucket limits a rate, and Keyed that of each of many parties. Turns shares the
// processors among callers in a similar way. The package does no I/O and starts no goroutine. All
// functions may be called from any goroutine, except where their comments restrict it.
package flowcontrol
