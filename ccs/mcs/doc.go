// Package mcs implements only the device wire format: the frames of a device's long-lived
// connection, the messages in them, and the two messages of a check-in (DEV 2, 4 and 5). It opens
// no connection, counts no frames and makes no decisions.
//
// # Frames
//
// A Reader splits a byte stream into frames under a hard limit. It is made for connections that
// idle for hours: between frames it holds one byte inside itself and no buffer. AppendFrame and
// the related Append functions append frames to a buffer. The caller reads and writes the version
// byte before the first frame of each direction: with ReadVersion, and append(b, Version).
//
// # Messages
//
// Each message is a plain struct with Append and Unmarshal. Both follow mcs.proto, which is in
// this directory for reading. Append always writes the fields that proto2 calls required, empty or
// not, because the JavaScript and Java clients refuse a message without them (DEV 5). Reading is
// lenient, as in Chromium: a missing field is zero. Unknown fields, and known ones of another wire
// type, are skipped.
//
// # Memory
//
// Unmarshal copies nothing: strings and byte slices of the result share memory with its argument.
// A payload from Reader.Next is valid until the following Next. To keep a message longer,
// unmarshal a bytes.Clone of the payload. Unmarshal into a used struct clears its old values and
// reuses its slices, so that a connection that decodes into one struct does not allocate.
//
// # Goroutines
//
// A Reader and a struct belong to one goroutine at a time. The functions may be called from any.
package mcs
