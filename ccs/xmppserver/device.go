package xmppserver

import (
	"context"
	"strconv"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/domains"
	"github.com/openccs/openccs/ccs/internal/senderror"
	"github.com/openccs/openccs/ccs/mcs"
	"github.com/openccs/openccs/stanza"
	"github.com/openccs/openccs/store"
)

// device is the role of a session with a device, which gets downstream messages and sends upstream
// messages.
type device struct {
	s *session
	received[ccs.Upstream]

	in stanza.FromDevice // owned by readLoop: the stanza decoded last
}

// beDevice makes the session's peer a device.
func (s *session) beDevice() {
	d := &device{s: s}
	s.role = d
	f := s.newConsumer("delivered", s.device.Key(), s.srv.router.Profile().UpstreamWindow, d.join)
	f.id, f.write = messageID, d.appendMessage
}

// join attaches the consumer to the device's queue.
func (d *device) join(ctx context.Context, _ store.Key, h consumerSession) (ccs.Mailbox, error) {
	return d.s.srv.router.AttachDevice(ctx, d.s.device, h)
}

// decode implements role.
func (d *device) decode(payload []byte) (head, error) {
	err := stanza.DecodeFromDevice(payload, &d.in)
	return head{typ: d.in.Type, to: d.in.To, hasTo: d.in.HasTo, id: d.in.Upstream.MessageID}, err
}

// collect implements role. The message_id identifies repeats, as on Android (DEV 10).
func (d *device) collect() {
	m := &d.in.Upstream
	d.batch = append(d.batch, ccs.Upstream{
		To: d.in.To, Category: m.Category, ID: m.MessageID, PersistentID: m.MessageID, Token: m.From,
		TTL: m.TTL, HasTTL: d.in.HasTTL, Data: m.Data,
	})
}

// route implements role. An ack means that the message is stored, or that a send_error for it is.
func (d *device) route(ctx context.Context, out []byte) ([]byte, load) {
	batch, bytes := d.swap()
	if len(batch) == 0 {
		return out, load{}
	}
	s := d.s
	err := s.srv.router.SendUpstream(ctx, s.device, batch)
	for i := range batch {
		m := &batch[i]
		if err != nil {
			s.refused++
			out = s.appendNack(out, m.To, m.ID, err)
			continue
		}
		s.accepted++
		out = stanza.AppendAck(out, m.To, m.ID, "")
	}
	return out, load{len(batch), bytes}
}

// acknowledge implements role.
func (d *device) acknowledge(id, to string) bool { return d.s.messages().acknowledge(id, to) }

// messageID returns the persistent ID of an entry, the same as on MCS (DEV 7.2). A message that is
// never stored has none, and gets an ID for this connection.
func messageID(d *ccs.Delivery) string {
	e := &d.Entry
	if e.ID == 0 {
		return "now:" + randomHex(8)
	}
	return mcs.PersistentID(e.Accepted.UnixMicro(), uint64(e.ID))
}

// deletedFrom is the from of a deleted_messages marker. It is no sender, as in a receipt (CCS 3.5).
const deletedFrom = domains.GCM

// appendMessage appends the stanza of an entry (DEV 9).
func (d *device) appendMessage(out []byte, o *offered) []byte {
	m := stanza.ToDevice{
		From: o.Message.From, MessageID: o.id, Category: o.Message.App, Subtype: o.Message.Subtype, CollapseKey: o.Message.CollapseKey,
		TTL: o.Message.TTL, Data: o.Message.Data,
	}
	switch {
	case o.Entry.Deleted > 0:
		m.MessageType, m.From = stanza.DeletedMessages, deletedFrom
		m.Category, m.Subtype = store.CutInstance(o.Entry.App)
		m.Data = m.Data.Append("total_deleted", strconv.Itoa(o.Entry.Deleted))
	case o.Message.Kind == ccs.SendError:
		m.MessageType = stanza.SendError
		m.Data = senderror.Append(stanza.Data{}.Append("original_message_id", o.Message.ID), &o.Message)
	}
	return stanza.AppendToDevice(out, d.s.bare, &m)
}
