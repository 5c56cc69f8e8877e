package ccsclient

import (
	"cmp"
	"context"
	"strconv"

	"github.com/openccs/openccs/stanza"
)

// defaultDeviceDomain is what ccs knows devices by.
const defaultDeviceDomain = "device.gcm.googleapis.com"

// DeviceOptions are what DialDevice may be told. The zero value works. OnUpstream and OnReceipt have no meaning for a
// device.
type DeviceOptions struct {
	Options

	// OnMessage gets app servers' messages. A message is acknowledged when OnMessage returns nil for it. Any other stays
	// with the server. Default all of them stay. A message may come again, with the same MessageID.
	OnMessage func(*Delivery) error

	// OnDeleted is called when the server threw messages of the device away. Default ignores it.
	OnDeleted func(*Deleted)

	// OnSendError is called when a message of the device reaches nobody. Default ignores it.
	OnSendError func(*SendError)
}

// DialDevice connects to a ccs as a device, with the identity that check-in gave it. Google's CCS let no device in.
// The server ends the connection with the stream error conflict when the device logs in elsewhere.
func DialDevice(ctx context.Context, addr string, androidID, securityToken uint64, o DeviceOptions) (*Client, error) {
	o.Domain = cmp.Or(o.Domain, defaultDeviceDomain)
	o.Options = o.Options.withDefaults()
	if o.OnDeleted == nil {
		o.OnDeleted = func(*Deleted) {}
	}
	if o.OnSendError == nil {
		o.OnSendError = func(*SendError) {}
	}
	return start(ctx, addr, strconv.FormatUint(androidID, 10), strconv.FormatUint(securityToken, 10), o.Options, xmppDevice(o))
}

// SendUpstream sends a device's message to an app server. The argument to is its sender ID, with or without a domain;
// m.From may be "". SendUpstream waits and answers as Send does. A Reply without an error says that the server has the
// message, or has a SendError for it. To send a message again after ErrClosed is safe if the caller has given it its
// MessageID: the server knows the message by that.
func (c *Client) SendUpstream(ctx context.Context, to string, m *stanza.Upstream, done func(Reply)) error {
	if m.MessageID == "" {
		copied := *m
		copied.MessageID = c.ids.next()
		m = &copied
	}
	return c.send(ctx, m.MessageID, func(b []byte) []byte { return stanza.AppendFromDevice(b, to, m) }, done)
}
