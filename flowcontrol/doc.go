// Package flowcontrol counts what has been offered and not yet answered, in messages and in bytes.
//
// GCM bounds both directions of every connection by such a count, which it calls pending messages
// (CCS 4.1, 4.2). Turns shares the processors among callers in the same spirit. Nothing here does I/O or starts a goroutine; everything may be called from any.
package flowcontrol
