// Package mcsserver is the endpoint for devices: the long-lived TLS connection of MCS, over which they
// log in, receive, acknowledge and send (DEV 4 to 11).
//
// A device is idle for hours, so that an idle session costs one goroutine, parked in a read, and no
// buffer. What has to be written is written by a second goroutine, the pump, which starts when there is
// something and ends when there is nothing. Only the pump writes frames and counts them; the reader
// leaves notes for it. So every frame has the number that the device counts for it (DEV 7.1).
//
// Server may be used from any goroutine.
package mcsserver
