package mcsclient

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"go.uber.org/zap"
)

// AckMode says when a client acknowledges by itself: AckBatch, AckNever, or a number n above zero, which
// is a StreamAck each time n more messages are unacknowledged. Chromium does that with n = 10 (DEV 7.2).
type AckMode int

const (
	// AckBatch sends one StreamAck after everything that one read brought has been handled.
	AckBatch AckMode = 0
	// AckNever tells the server what was received at the next login only, as the npm clients do.
	AckNever AckMode = -1
)

// Defaults of Options.
const (
	DefaultClientID          = "chrome-156.0.8078.79"
	DefaultWindow            = 1000
	DefaultHeartbeatInterval = 28 * time.Minute // Chromium's on a mobile network (DEV 8)
	DefaultHeartbeatTimeout  = 60 * time.Second // DEV 8
	DefaultLoginTimeout      = 30 * time.Second // DEV 4
)

// Options is how a Client behaves. The zero value works.
type Options struct {
	// TLS defaults to the system's roots and the host of the address as server name.
	TLS    *tls.Config
	Logger *zap.Logger // default none

	// OnMessage gets the messages in order, one at a time. When it returns, the message counts as
	// received.
	OnMessage func(*Message)
	// Reuse has every message in the same memory: what OnMessage gets is its own until it returns, and no
	// longer. For those who count many messages and keep none. Default they are the receiver's for ever.
	Reuse bool
	// Received is what Client.Received returned at the end of the connection before.
	Received []string
	// ClientID is the login's id. The server takes the message id of an upstream message from the
	// stanza's id for "chrome-…", and from its persistent id for "android-…" (DEV 10). Default
	// DefaultClientID.
	ClientID string

	Ack    AckMode
	Window int // upstream messages that may be unacknowledged; default DefaultWindow

	// HeartbeatInterval is the quiet after which the client pings; the server's wish wins over it.
	// Default DefaultHeartbeatInterval, below zero never.
	HeartbeatInterval time.Duration
	HeartbeatTimeout  time.Duration // from a ping to giving up; default DefaultHeartbeatTimeout
	LoginTimeout      time.Duration // from dialling to the answer; default DefaultLoginTimeout

	// DialContext opens the connection under TLS; default a net.Dialer's.
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
