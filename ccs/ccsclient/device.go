package ccsclient

import (
	"cmp"
	"context"
	"strconv"

	"github.com/openccs/openccs/ccs/domains"
	"github.com/openccs/openccs/stanza"
)

// DeviceOptions configures DialDevice. The zero value works. OnUpstream and OnReceipt have no
// meaning for a device.
type DeviceOptions struct {
	Options

	// OnMessage gets the messages of app servers. A message is acknowledged when OnMessage returns
	// nil for it. Any other message stays with the server. Default: all of them stay. A message
	// may come again, with the same MessageID.
	OnMessage func(*Delivery) error

	// OnDeleted is called when the server has discarded messages of the device. Default ignores
	// it.
	OnDeleted func(*Deleted)

	// OnSendError is called when a message of the device cannot be delivered. Default ignores it.
	OnSendError func(*SendError)
}

// DialDevice connects to a ccs as a device, with the identity from its check-in. Google's CCS let
// no device in. The server ends the connection with the stream error conflict when the device logs
// in elsewhere.
func DialDevice(ctx context.Context, addr string, androidID, securityToken uint64, o DeviceOptions) (*Client, error) {
	o.Domain = cmp.Or(o.Domain, domains.Devices)
	o.Options = o.Options.withDefaults()
	if o.OnDeleted == nil {
		o.OnDeleted = func(*Deleted) {}
	}
	if o.OnSendError == nil {
		o.OnSendError = func(*SendError) {}
	}
	return start(ctx, addr, strconv.FormatUint(androidID, 10), strconv.FormatUint(securityToken, 10), o.Options, xmppDevice(o))
}

// SendUpstream sends a device's message to an app server. The argument to is its sender ID, with
// or without a domain; m.From may be "". SendUpstream waits and answers as Send does. A Reply
// without an error says that the server has the message, or has a SendError for it. It is safe to
// send a message again after ErrClosed if the caller has set its MessageID, because the server
// recognises the message by that.
func (c *Client) SendUpstream(ctx context.Context, to string, m *stanza.Upstream, done func(Reply)) error {
	if m.MessageID == "" {
		copied := *m
		copied.MessageID = c.ids.next()
		m = &copied
	}
	return c.send(ctx, m.MessageID, func(b []byte) []byte { return stanza.AppendFromDevice(b, to, m) }, done)
}
