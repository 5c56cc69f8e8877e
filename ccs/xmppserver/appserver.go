package xmppserver

import (
	"cmp"
	"context"
	"strings"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/domains"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/stanza"
	"github.com/openccs/openccs/store"
)

// appServer is the role of a session with an app server, which sends downstream messages and gets
// upstream messages and receipts.
type appServer struct {
	// These fields do not change after beAppServer.
	s *session
	received[stanza.Downstream]
	rules    stanza.Rules
	receipts *consumer

	in      stanza.Inbound               // owned by readLoop: the stanza decoded last
	results []ccs.Result                 // owned by serveLoop
	turn    *flowcontrol.Turn[store.Key] // owned by serveLoop
}

// smallBatch is how many messages are translated and answered without a turn.
const smallBatch = 32

const (
	receiptWindow  = 100 // CCS 4.2
	receiptResends = 3   // a few times (CCS 3.5)
)

// beAppServer makes the session's peer an app server.
func (s *session) beAppServer() {
	p := s.srv.router.Profile()
	a := &appServer{s: s, rules: p.Payload, turn: s.srv.router.Turn(s.sender.Key())}
	s.role = a
	upstream := s.newConsumer("delivered", s.sender.Key(), cmp.Or(s.limits.UpstreamWindow, p.UpstreamWindow), a.join)
	upstream.id = func(d *ccs.Delivery) string { return d.Message.ID }
	upstream.write = a.appendUpstream
	a.receipts = s.newConsumer("receipts", s.sender.ReceiptsKey(), receiptWindow, a.join)
	a.receipts.id = func(d *ccs.Delivery) string { return stanza.ReceiptPrefix + d.Message.ID }
	a.receipts.write = a.appendReceipt
	a.receipts.resends = receiptResends
}

// join attaches a consumer to a queue of the sender.
func (a *appServer) join(ctx context.Context, k store.Key, h consumerSession) (ccs.Mailbox, error) {
	return a.s.srv.router.AttachShared(ctx, k, h)
}

// decode implements role.
func (a *appServer) decode(payload []byte) (head, error) {
	err := stanza.DecodeInbound(payload, &a.rules, &a.in)
	m := &a.in.Downstream
	return head{typ: a.in.Type, to: m.To, hasTo: a.in.HasTo, id: m.MessageID}, err
}

// collect implements role.
func (a *appServer) collect() { a.batch = append(a.batch, a.in.Downstream) }

// route implements role.
func (a *appServer) route(ctx context.Context, out []byte) ([]byte, load) {
	received, bytes := a.swap()
	if len(received) == 0 {
		return out, load{}
	}
	s := a.s
	t := translations.Get().(*translation)
	defer t.done()
	long := len(received) > smallBatch
	if long {
		a.turn.BeginIfCrowded()
	}
	batch := t.translate(received)
	a.turn.End()
	from := ccs.Source{Sender: s.sender, Session: a.receipts.box.Lease(), PerSecond: s.limits.PerSecond}
	a.results = s.srv.router.Send(ctx, from, batch, a.results[:0])
	if long {
		a.turn.BeginIfCrowded()
		defer a.turn.End()
	}
	for i := range batch {
		m, res := &batch[i], &a.results[i]
		from := m.To
		if from == "" {
			from = m.Condition // the ack of a condition names the condition (CCS 3.2)
		}
		if res.Refusal == nil {
			s.accepted++
			if g := res.Group; g != nil {
				out = stanza.AppendGroupAck(out, from, res.ID, g.Success, g.Failed)
			} else {
				out = stanza.AppendAck(out, from, res.ID, res.Canonical)
			}
			continue
		}
		s.refused++
		out = s.appendNack(out, from, res.ID, res.Refusal)
	}
	clear(a.results)
	return out, load{len(batch), bytes}
}

// acknowledge implements role. The ack of a receipt comes with or without the prefix (CCS 3.4).
func (a *appServer) acknowledge(id, to string) bool {
	return a.s.messages().acknowledge(id, to) || a.receipts.acknowledge(id, to) || a.receipts.acknowledge(stanza.ReceiptPrefix+id, to)
}

func (a *appServer) appendUpstream(out []byte, o *offered) []byte {
	m := &o.Message
	return stanza.AppendUpstream(out, a.addressee(m.To), &stanza.Upstream{
		From: m.From, MessageID: m.ID, Category: m.App, TTL: m.TTL, Data: m.Data,
	})
}

// addressee returns the bare address that the device used, if it is one of the two of Google's
// service (CCS 3.1).
func (a *appServer) addressee(to string) string {
	for _, domain := range [...]string{domains.GCM, domains.FCM} {
		if local, ok := strings.CutSuffix(to, "@"+domain); ok && local == a.s.user {
			return to
		}
	}
	return a.s.bare
}

func (a *appServer) appendReceipt(out []byte, o *offered) []byte {
	return stanza.AppendReceipt(out, a.s.bare, &stanza.Receipt{
		OriginalID: o.Message.ID, Token: o.Message.From, Category: o.Message.App, Sent: o.Entry.Accepted,
	})
}
