// Package mcsclient is the device's side of GCM: what a browser, a phone or an npm client does to get
// messages and to send some (DEV 1).
//
// A device goes through three steps. CheckIn gives it an Identity, Register gives an app on it a token
// that senders use, and Dial keeps the connection on which messages travel. Device does the last step for
// programs that live on: it connects again when a connection ends, and carries over what was not
// acknowledged, in both directions.
//
// # Acknowledgement
//
// Client counts every frame in both directions and puts its count into every frame it sends (DEV 7.1). A
// message counts as received once OnMessage has returned. Received lists the persistent ids that the
// server may not know to be received: give them to the next Dial, and the server drops these messages
// instead of sending them again. Unacked lists what is to be sent again. A program that keeps both across
// its restarts loses nothing.
//
// # Errors
//
// Every error begins with "mcsclient: ". ErrUnknownDevice, a *LoginError and a *RegisterError say what the server refused;
// ErrClosed, ErrClosedByServer and ErrHeartbeat why a connection ended; ErrExpired and ErrNotConnected why a Device gave
// a message up.
//
// # Goroutines
//
// All methods may be called from any goroutine. OnMessage runs on the connection's reading goroutine, one
// call at a time, and so do the done functions given to Send: neither may wait for its Client or Device. A
// connection has one goroutine, and another while there is something to write.
package mcsclient
