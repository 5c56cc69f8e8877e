// Package mcs is the device wire format alone: the frames of a device's long-lived connection, the
// messages in them, and the two messages of a check-in (DEV 2, 4 and 5). It opens no connection, keeps
// no count and decides nothing.
//
// # Frames
//
// A Reader cuts a byte stream into frames under a hard limit. It is made for connections that idle for
// hours: between frames it holds one byte inside itself and no buffer. AppendFrame and the Append
// functions beside it write frames behind what a buffer already holds. The version byte that comes before
// the first frame of each direction is the caller's: ReadVersion, and append(b, Version).
//
// # Messages
//
// Each message is a plain struct with Append and Unmarshal. Both follow mcs.proto, which lies beside
// this file for reading. What proto2 calls required is always written, empty or not, because the
// JavaScript and Java clients refuse a message without it (DEV 5). Reading is lenient, as Chromium's is:
// a missing field is zero, an unknown one is skipped, and so is a known one of another wire type.
//
// # Memory
//
// Unmarshal copies nothing: strings and byte slices of the result share memory with its argument. A
// payload from Reader.Next lives until the following Next; whoever keeps a message longer unmarshals a
// bytes.Clone of the payload. Unmarshal into a used struct forgets its old values and reuses its slices,
// so that a connection that decodes into one struct does not allocate.
//
// # Goroutines
//
// A Reader and a struct belong to one goroutine at a time. The functions may be called from any.
package mcs
