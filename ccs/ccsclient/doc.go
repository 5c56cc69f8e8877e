// Package ccsclient is the app server's side of CCS, as a library. It works with this server and
// with others (CCS 1.2 to 1.7, 2.1, 3, 4.1).
//
// Dial connects and logs in. Client.Send sends a message, within the window of messages that may
// be unanswered. It calls back with a Reply: an Ack, or an error such as *Nack. Messages of
// devices go to Options.OnUpstream and are acknowledged when it returns nil. A Client does not
// reconnect. When Done is closed, its user dials again, and sends the messages that got ErrClosed
// again, under the same message_id (CCS 4.3).
//
// AppServer does that for long-running programs. It reconnects with backoff, opens the next
// connection when the server drains one, and sends unanswered messages again. It gives each
// message exactly one Reply.
//
// DialDevice is for the other end: it connects a device that uses XMPP, which this server
// supports.
//
// # Goroutines
//
// All methods may be called from any goroutine. Callbacks run on two goroutines. The done
// functions of Send run on the goroutine that reads the connection, so they must not wait for
// anything. The callbacks of Options run on another goroutine, in order; they may take their time
// and may send. No callback may call Close, which waits for it.
//
// A third goroutine writes. It writes at once everything that has gathered during the last write.
//
// # Errors
//
// Every error begins with "ccsclient: ". ErrClosed, ErrDraining and ErrDuplicate say why a message
// was not sent. A *Nack says why the server refused it, an *AuthError why it refused the login,
// and a *StreamError why it ended the stream.
package ccsclient
