// Package ccsclient is what an app server would write: a client of CCS, this server's or another's
// (CCS 1.2 to 1.7, 2.1, 3, 4.1).
//
// Dial connects and logs in. Send hands a message over, within the window of messages that may be
// unanswered, and calls back with the server's ack or nack. What comes from devices goes to the callbacks
// of Options and is acknowledged when they return. There is no reconnecting here: when Done is closed, its
// user dials again, and sends again what got ErrClosed, under the same message_id (CCS 4.3).
//
// DialDevice is for the other end: a device that uses XMPP, which this server lets in.
//
// All methods may be called from any goroutine. Callbacks come from two: that of Send's from the one that
// reads the connection, so it must not wait for anything; those of Options, in order, from another, which
// may take its time and may send. None of them may call Close, which waits for them.
//
// A third goroutine writes: it takes what has gathered while the last write went on, and writes it at once.
package ccsclient
