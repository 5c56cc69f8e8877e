// Package mcsclient is the device's side of GCM, as a library. It receives messages and sends
// some, as a browser, a phone or an npm client does (DEV 1).
//
// A device goes through three steps. CheckIn returns an Identity. Register returns a token for an
// app on the device, which senders use. Dial opens the connection for messages. Device does the
// last step for long-running programs: it connects again when a connection ends. It keeps the
// unacknowledged messages of both directions for the next connection.
//
// # Acknowledgement
//
// Client counts every frame in both directions and puts its count into every frame it sends (DEV
// 7.1). A message counts as received once OnMessage has returned. Received returns the persistent
// ids of received messages whose acknowledgement the server may not have. Pass them to the next
// Dial: the server then drops these messages instead of sending them again. Unacked returns the
// messages to send again. A program that keeps both across its restarts loses nothing.
//
// # Errors
//
// Every error begins with "mcsclient: ". ErrUnknownDevice, a *LoginError and a *RegisterError say
// what the server refused. ErrClosed, ErrClosedByServer and ErrHeartbeat say why a connection
// ended. ErrExpired and ErrNotConnected say why a Device gave up a message.
//
// # Goroutines
//
// All methods may be called from any goroutine. OnMessage and the done functions of Send run on
// the connection's reading goroutine, one call at a time. They must not wait for their Client or
// Device. A connection has one goroutine, and a second one during writes.
package mcsclient
