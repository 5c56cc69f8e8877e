package ccsclient

import (
	"cmp"
	"context"
	"strconv"

	"github.com/openccs/openccs/stanza"
)

// defaultDeviceDomain is what ccs knows devices by.
const defaultDeviceDomain = "device.gcm.googleapis.com"

// DialDevice connects as a device, with the identity that check-in gave it, to a ccs: Google's CCS let no device in.
// The server ends the connection with the stream error conflict when the device logs in elsewhere.
//
// Options.OnUpstream gets what the device is sent: app servers' messages, and messages of the types
// stanza.TypeDeletedMessages and stanza.TypeSendError. The same message may come again, with the same MessageID.
func DialDevice(ctx context.Context, addr string, androidID, securityToken uint64, o Options) (*Client, error) {
	o.Domain = cmp.Or(o.Domain, defaultDeviceDomain)
	return Dial(ctx, addr, strconv.FormatUint(androidID, 10), strconv.FormatUint(securityToken, 10), o)
}

// SendUpstream sends a device's message to an app server: to is its sender ID, with or without a domain; m.From may
// be "". It waits and answers as Send does. A Reply without an error says that the server has the message, or has a
// send_error for it. To send it again after ErrClosed is safe: the server knows it by its MessageID, if the caller
// has given it one.
func (c *Client) SendUpstream(ctx context.Context, to string, m *stanza.Upstream, done func(Reply)) error {
	if m.MessageID == "" {
		copied := *m
		copied.MessageID = c.newID()
		return c.SendUpstream(ctx, to, &copied, done)
	}
	return c.send(ctx, m.MessageID, func(b []byte) []byte { return stanza.AppendFromDevice(b, to, m) }, done)
}
