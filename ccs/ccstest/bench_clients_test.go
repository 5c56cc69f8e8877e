package ccstest_test

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/mcs"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/stanza"
)

// These clients do as little work as possible, so that most of the CPU time is the server's.

var benchValue = strings.Repeat("x", 255) // with the key, 256 bytes

// maxBehind is the maximum number of undelivered messages per device. Senders wait at that number.
// It is smaller than the server's limit for the messages of a device.
const maxBehind = 2000

// endpoint is the common part of both kinds of client.
type endpoint struct {
	*load
	nc     *tls.Conn
	window *flowcontrol.Window
	due    []time.Time // of the messages in flight, by number modulo the length of due
	next   int         // number of the next message
}

func (l *load) endpoint(b testing.TB, trust *tls.Config, addr string) endpoint {
	nc, err := tls.Dial("tcp", addr, trust)
	require.NoError(b, err)
	return endpoint{load: l, nc: nc, window: flowcontrol.NewWindow(l.window), due: make([]time.Time, l.window)}
}

// send sends the messages that e.work asks for. write appends message number n.
func (e *endpoint) send(write func(out []byte, n int) []byte) {
	defer e.sending.Done()
	var out []byte
	began := time.Now()
	for n := range e.work {
		for n > 0 {
			for e.arrives() && e.sent.Load()-e.got.Load() > int64(maxBehind*e.devices) {
				time.Sleep(time.Millisecond / 10)
			}
			free := e.window.Take(min(n, e.window.Size()))
			if free == 0 {
				select {
				case <-e.window.Freed():
				case <-e.failed:
					return
				}
				continue
			}
			now := time.Now()
			if e.rate > 0 {
				// A message is due when the schedule says, even if the window or the machine
				// delays it.
				free, now = e.pace(began, free)
			}
			out = out[:0]
			for range free {
				e.due[e.next%len(e.due)] = now
				out = write(out, e.next)
				e.next++
			}
			if _, err := e.nc.Write(out); err != nil {
				e.fail(err)
				return
			}
			e.sent.Add(int64(free))
			n -= free
		}
	}
	for e.window.Pending() > 0 {
		select {
		case <-e.window.Freed():
		case <-e.failed:
			return
		}
	}
}

// answered records answers to messages. Each took so long from the time when its message was due.
func (e *endpoint) answered(took []time.Duration) {
	if len(took) > 0 {
		e.mu.Lock()
		e.took = append(e.took, took...)
		e.mu.Unlock()
		e.window.Give(len(took))
	}
}

// pace waits until messages are due by the rate. It returns how many of them may be sent, and when
// the first was due.
func (e *endpoint) pace(began time.Time, free int) (int, time.Time) {
	const tick = time.Millisecond
	each := time.Second / time.Duration(e.rate/e.senders)
	due := began.Add(time.Duration(e.next) * each)
	time.Sleep(time.Until(due.Truncate(tick).Add(tick)))
	n := min(free, 1+int(time.Since(due)/each))
	e.window.Give(free - n)
	return n, due
}

// benchAppServer is an app server.
type benchAppServer struct {
	endpoint
	in     *stanza.Reader
	tokens []string
	number int // its number in the run, so that no two messages have the same id
}

func (l *load) appServer(b testing.TB, bed *bed, sender, key string) *benchAppServer {
	a := &benchAppServer{endpoint: l.endpoint(b, bed.trust, bed.card.XMPP), tokens: bed.tokens}
	a.in = stanza.NewReader(a.nc, stanza.AfterBind)
	login := base64.StdEncoding.EncodeToString([]byte("\x00" + sender + "\x00" + key))
	const open = `<stream:stream to="gcm.googleapis.com" version="1.0" xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams">`
	var e stanza.Element
	for _, step := range []string{
		open, `<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="PLAIN">` + login + `</auth>`,
		open, `<iq type="set" id="b"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/></iq>`,
	} {
		_, err := a.nc.Write([]byte(step))
		require.NoError(b, err)
		if step == open {
			_, err = a.in.Header()
			require.NoError(b, err)
		}
		require.NoError(b, a.in.Next(&e))
		require.NotEqual(b, "failure", e.Local)
	}
	return a
}

// message appends message number n. The messages go to one device after the other.
func (a *benchAppServer) message(out []byte, n int) []byte {
	const head, id, tail = `<message><gcm xmlns="google:mobile:data">{"to":"`, `","message_id":"m-`, `","time_to_live":3600,"data":{"k":"`
	if out = append(out, head...); !a.bad {
		out = append(out, a.tokens[n%len(a.tokens)]...)
	}
	out = append(strconv.AppendInt(append(out, id...), int64(n*a.senders+a.number), 10), tail...)
	out = append(append(out, a.text()...), `"}}</gcm></message>`...)
	if !a.perRecord {
		return out
	}
	_, _ = a.nc.Write(out) // the next write returns the error again
	return out[:0]
}

// read reads answers, and acknowledges messages of devices.
func (a *benchAppServer) read() {
	var took []time.Duration
	var e stanza.Element
	var o stanza.Outbound
	var acks []byte
	for {
		if !a.in.Ready() {
			a.answered(took)
			took = took[:0]
			if len(acks) > 0 {
				a.nc.Write(acks)
				acks = acks[:0]
			}
		}
		if err := a.in.Next(&e); err != nil {
			a.fail(err)
			return
		}
		if err := stanza.DecodeOutbound(e.Payload, &o); err != nil || o.Type == stanza.TypeNack && !a.refused() {
			a.fail(fmt.Errorf("%v: %s", err, e.Payload))
			return
		}
		if o.Type == stanza.TypeAck || o.Type == stanza.TypeNack {
			n, _ := strconv.Atoi(o.MessageID[len("m-"):])
			took = append(took, time.Since(a.due[n/a.senders%len(a.due)]))
			continue
		}
		a.got.Add(1)
		acks = stanza.AppendClientAck(acks, o.From, o.MessageID)
	}
}

// benchDevice is a device. It acknowledges the messages of one read together.
type benchDevice struct {
	endpoint
	in     *mcs.Reader
	sender string
}

func (l *load) device(b testing.TB, bed *bed, id mcsclient.Identity) *benchDevice {
	d := &benchDevice{endpoint: l.endpoint(b, bed.trust, bed.card.MCS), sender: bed.card.SenderID}
	d.in = mcs.NewReader(d.nc, mcs.MaxLogin)
	_, err := d.nc.Write(mcs.AppendFrame([]byte{mcs.Version}, mcs.TagLoginRequest, &mcs.LoginRequest{
		ID: "chrome-1", Domain: "mcs.android.com", User: id.String(), Resource: id.String(),
		AuthToken: strconv.FormatUint(id.SecurityToken, 10), AuthService: mcs.AuthServiceAndroidID,
	}))
	require.NoError(b, err)
	_, err = d.in.ReadVersion()
	require.NoError(b, err)
	tag, _, err := d.in.Next()
	require.NoError(b, err)
	require.Equal(b, mcs.TagLoginResponse, tag)
	return d
}

// message appends message number n, which is the device's frame n+2.
func (d *benchDevice) message(out []byte, n int) []byte {
	id := fmt.Sprint("m-", n)
	return mcs.AppendDataMessage(out, &mcs.DataMessage{
		ID: id, From: "gcm@chrome.com", To: d.sender, Category: benchApp, PersistentID: id, TTL: 3600,
		AppData: []mcs.KV{{Key: "k", Value: benchValue}},
	})
}

func (d *benchDevice) read() {
	var took []time.Duration
	frames, acked, done := int32(1), int32(1), 0
	var ack []byte
	for {
		if d.up {
			d.answered(took)
			took = took[:0]
		}
		if !d.in.Ready() && frames > acked && !d.up && !d.hold {
			ack, acked = mcs.AppendStreamAck(ack[:0], frames), frames
			d.nc.Write(ack)
		}
		tag, payload, err := d.in.Next()
		if err != nil {
			d.fail(err)
			return
		}
		frames++
		if tag == mcs.TagDataMessageStanza {
			d.got.Add(1)
		}
		if d.up {
			for last := int(mcs.LastStreamID(tag, payload)); done+1 < last; done++ {
				took = append(took, time.Since(d.due[done%len(d.due)]))
			}
		}
	}
}
