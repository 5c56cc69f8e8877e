// Package ccsclient is what an app server would write: a client of CCS, this server's or another's
// (CCS 1.2 to 1.7, 2.1, 3, 4.1).
//
// Dial connects and logs in. Client.Send hands a message over, within the window of messages that may be unanswered,
// and calls back with a Reply: an Ack, or an error such as *Nack. Messages of devices go to Options.OnUpstream and are
// acknowledged when it returns nil. A Client does not reconnect: when Done is closed, its user dials again, and sends
// the messages that got ErrClosed again, under the same message_id (CCS 4.3).
//
// AppServer does that for programs that live on: it reconnects with backoff, opens the next connection when the server
// drains one, sends again what was not answered, and gives each message exactly one Reply.
//
// DialDevice is for the other end: a device that uses XMPP, which this server lets in.
//
// # Goroutines
//
// All methods may be called from any goroutine. Callbacks come from two. The done functions of Send run on the
// goroutine that reads the connection, so they must not wait for anything. The callbacks of Options run on another, in
// order; they may take their time and may send. No callback may call Close, which waits for it.
//
// A third goroutine writes: it takes what has gathered during the last write, and writes it at once.
//
// # Errors
//
// Every error begins with "ccsclient: ". ErrClosed, ErrDraining and ErrDuplicate say why a message was not sent, a *Nack
// why the server refused it, an *AuthError why it refused the login, and a *StreamError why it ended the stream.
package ccsclient
