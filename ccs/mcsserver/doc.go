// Package mcsserver is the endpoint for devices: the long-lived TLS connection of MCS, over which they
// log in, receive, acknowledge and send (DEV 4 to 11).
//
// A device is idle for hours, so that an idle session costs one goroutine, parked in a read, and no
// buffer. The goroutine is a fresh one whenever the wait begins, because one that has shaken hands or stored
// messages keeps the stack that it needed for it. What has to be written is written by a second goroutine, the
// writer, which starts when there is something and ends when there is nothing. Only the writer writes frames and
// counts them; the reader leaves notes for it. So every frame has the number that the device counts for it
// (DEV 7.1).
//
// Between frames a device may be silent for half an hour before it is pinged; a frame that has begun must end
// within a minute (transport.go, heartbeat.go). Handshakes take turns, so that a great many devices that come back
// at once hold up neither each other nor the app servers.
//
// Server may be used from any goroutine.
//
// # What it costs
//
//	go test -run '^$' -bench IdleDevices ./ccs/ccstest
//
// connects 10,000 devices from several addresses to a server process, each over TLS 1.3, and weighs the process before
// and after, with a garbage collection each time. The server makes one itself some seconds after a storm of logins, and
// is weighed before the other, too; without its own it would keep twice as much. A device costs 14 to 16.5 KiB of resident
// memory and one goroutine, measured with 5,000 devices: about 4 KiB are what crypto/tls keeps, 4 KiB the stack. Then the server is killed and started again: all devices are
// back within 6 to 10 s, most of which is the devices' own half of the handshakes, and meanwhile the 99th percentile of
// the acks of an app server that sends 200 messages a second is 40 to 110 ms; without a stampede it is 2 to 5 ms. These
// are figures of a machine with two cores that carried the devices too and had some other work. Where five times as
// many programs want to run as there are cores, the percentile was 120 to 800 ms, and the devices were back after 8 to
// 18 s.
package mcsserver
