package mcsclient

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"go.uber.org/zap"
)

// AckMode says when a client acknowledges without being asked. It is AckBatch, AckNever, or a
// number n above zero: a StreamAck each time n more messages are unacknowledged. Chromium does
// that with n = 10 (DEV 7.2).
type AckMode int

const (
	// AckBatch sends one StreamAck after all messages of one read have been handled.
	AckBatch AckMode = 0
	// AckNever reports received messages only at the next login, as the npm clients do.
	AckNever AckMode = -1
)

// These are the defaults of Options.
const (
	DefaultClientID          = "chrome-156.0.8078.79"
	DefaultWindow            = 1000
	DefaultHeartbeatInterval = 28 * time.Minute // as Chromium on a mobile network (DEV 8)
	DefaultHeartbeatTimeout  = 60 * time.Second // DEV 8
	DefaultLoginTimeout      = 30 * time.Second // DEV 4
)

// Options configures a Client. The zero value works.
type Options struct {
	// TLS defaults to the system's roots and the host of the address as server name.
	TLS    *tls.Config
	Logger *zap.Logger // default none

	// OnMessage gets the messages in order, one at a time. When it returns, the message counts as
	// received.
	OnMessage func(*Message)
	// Reuse reuses the same memory for every message: the argument of OnMessage is valid only
	// until it returns. It is for programs that count many messages and keep none. By default a
	// message is never reused.
	Reuse bool
	// Received is the result of Client.Received at the end of the last connection.
	Received []string
	// ClientID is the id of the login. For "chrome-…" the server takes the message id of an
	// upstream message from the stanza's id. For "android-…" it takes it from the persistent id
	// (DEV 10). Default DefaultClientID.
	ClientID string

	Ack    AckMode
	Window int // maximum of unacknowledged upstream messages; default DefaultWindow

	// HeartbeatInterval is the silence after which the client pings. The server's interval has
	// precedence. Default DefaultHeartbeatInterval; below zero the client never pings.
	HeartbeatInterval time.Duration
	HeartbeatTimeout  time.Duration // from a ping to the end; default DefaultHeartbeatTimeout
	LoginTimeout      time.Duration // from dialling to the answer; default DefaultLoginTimeout

	// DialContext opens the connection below TLS. Default: that of a net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.OnMessage == nil {
		o.OnMessage = func(*Message) {}
	}
	if o.ClientID == "" {
		o.ClientID = DefaultClientID
	}
	if o.Window <= 0 {
		o.Window = DefaultWindow
	}
	if o.HeartbeatTimeout <= 0 {
		o.HeartbeatTimeout = DefaultHeartbeatTimeout
	}
	if o.LoginTimeout <= 0 {
		o.LoginTimeout = DefaultLoginTimeout
	}
	if o.DialContext == nil {
		o.DialContext = new(net.Dialer).DialContext
	}
	return o
}
