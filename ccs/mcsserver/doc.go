// Package mcsserver is the door for devices: the long-lived TLS connection of MCS, over which they
// log in, receive, acknowledge and send (DEV 4 to 11).
//
// A device is idle for hours. An idle session costs only one goroutine, parked in a read, and no
// buffer. Each wait begins in a new goroutine, because a goroutine that has done a handshake or
// stored messages keeps the stack that it needed. A second goroutine, the writer, writes. It starts
// when there is output and ends when there is none. Only the writer writes and counts frames; the
// reader leaves notes for it. So every frame has the number that the device counts for it
// (DEV 7.1).
//
// Between frames a device may be silent for half an hour before it is pinged. A frame that has
// begun must end within a minute (transport.go, heartbeat.go). Handshakes take turns. So a large
// number of devices that come back at once delay neither each other nor the app servers.
//
// Server may be used from any goroutine.
//
// # What it costs
//
// ccs/docs/performance.md has the memory of an idle device, and how fast devices are back after a
// restart.
package mcsserver
