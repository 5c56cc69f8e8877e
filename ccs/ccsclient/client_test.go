package ccsclient_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/stanza"
)

// run runs each test in its own bubble. A test takes no time, and fails if a goroutine is left.
func run(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

func downstream(id string) *ccsclient.Message {
	return &ccsclient.Message{To: "REG", MessageID: id, TTL: stanza.MaxTTL, Object: `{"k":"v"}`}
}

func TestDial(t *testing.T) {
	run(t, "a login as in the reference transcript", func(t *testing.T) {
		c := mustDial(t, ccsclient.Options{}, (*peer).goodbye)
		assert.Equal(t, "123@gcm.googleapis.com/4F2A90C1", c.JID())
		require.NoError(t, c.Close())
		assert.NoError(t, c.Err())
	})
	run(t, "a wrong key is an AuthError that says what to check", func(t *testing.T) {
		_, err := dial(t, ccsclient.Options{}, func(p *peer) {
			p.header()
			p.write(header + mechanisms)
			p.next()
			p.write(`<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><not-authorized/></failure>`)
		})
		var refused *ccsclient.AuthError
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, "not-authorized", refused.Condition)
		assert.ErrorContains(t, err, "check the sender ID")
	})
	run(t, "a stream error is a StreamError", func(t *testing.T) {
		_, err := dial(t, ccsclient.Options{}, func(p *peer) {
			p.header()
			p.write(header + `<stream:error><system-shutdown xmlns="urn:ietf:params:xml:ns:xmpp-streams"/><text xmlns="urn:ietf:params:xml:ns:xmpp-streams">later</text></stream:error></stream:stream>`)
		})
		var ended *ccsclient.StreamError
		require.ErrorAs(t, err, &ended)
		assert.Equal(t, ccsclient.StreamError{Condition: "system-shutdown", Text: "later"}, *ended)
	})
	run(t, "a server without PLAIN is named as such", func(t *testing.T) {
		_, err := dial(t, ccsclient.Options{}, func(p *peer) {
			p.header()
			p.write(header + `<stream:features><mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>SCRAM-SHA-1</mechanism></mechanisms></stream:features>`)
		})
		require.ErrorContains(t, err, "SCRAM-SHA-1")
	})
	run(t, "a server that hangs up is no mystery", func(t *testing.T) {
		_, err := dial(t, ccsclient.Options{}, func(p *peer) { p.header() })
		require.ErrorContains(t, err, "the server closed the connection")
	})
	run(t, "a bind that is refused", func(t *testing.T) {
		_, err := dial(t, ccsclient.Options{}, func(p *peer) {
			p.header()
			p.write(header + mechanisms)
			p.next()
			p.write(success)
			p.header()
			p.write(header + bind)
			p.next()
			p.write(`<iq id="bind" type="error"><error type="cancel"><not-allowed xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>`)
		})
		require.ErrorContains(t, err, "not-allowed")
	})
	run(t, "a silent server costs no more than the timeout", func(t *testing.T) {
		start := time.Now()
		_, err := dial(t, ccsclient.Options{DialTimeout: 3 * time.Second}, func(p *peer) {
			p.header()
			_ = p.in.Next(new(stanza.Element))
		})
		require.ErrorContains(t, err, "no session within 3s")
		assert.Equal(t, 3*time.Second, time.Since(start))
	})
	run(t, "a certificate nobody vouches for is refused", func(t *testing.T) {
		_, other := certificate(t)
		options := ccsclient.Options{TLS: tlsConfig(other)}
		_, err := dial(t, options, func(p *peer) { _, _ = p.in.Header() })
		var unknown x509.UnknownAuthorityError
		require.ErrorAs(t, err, &unknown)
	})
}

func TestSend(t *testing.T) {
	run(t, "an ack, with a canonical token", func(t *testing.T) {
		c := mustDial(t, ccsclient.Options{}, func(p *peer) {
			in := p.message()
			p.write(string(stanza.AppendAck(nil, in.Downstream.To, in.Downstream.MessageID, "NEW")))
			p.goodbye()
		})
		ack, err := c.SendWait(t.Context(), downstream("m-1"))
		require.NoError(t, err)
		assert.Equal(t, ccsclient.Ack{MessageID: "m-1", RegistrationID: "NEW"}, ack)
		assert.Zero(t, c.InFlight())
	})
	run(t, "a nack is an Error with its code", func(t *testing.T) {
		c := mustDial(t, ccsclient.Options{}, func(p *peer) {
			in := p.message()
			p.write(string(stanza.AppendNack(nil, "REG", in.Downstream.MessageID, stanza.BadRegistration, "why")))
			p.goodbye()
		})
		_, err := c.SendWait(t.Context(), downstream("m-1"))
		assert.Equal(t, &ccsclient.Nack{MessageID: "m-1", Code: stanza.BadRegistration, Description: "why"}, err)
	})
	run(t, "a stanza error that echoes the message answers it", func(t *testing.T) {
		c := mustDial(t, ccsclient.Options{}, func(p *peer) {
			e := p.next()
			p.write(string(stanza.AppendStanzaError(nil, &stanza.StanzaError{To: "a", Payload: e.Payload, HasPayload: true, Code: 400, Type: "modify", Condition: "bad-request", Text: "why & how"})))
			p.goodbye()
		})
		_, err := c.SendWait(t.Context(), downstream("m-<1>"))
		assert.Equal(t, &ccsclient.Nack{MessageID: "m-<1>", Code: stanza.InvalidJSON, Description: "why & how"}, err)
	})
	run(t, "the window lets no more through than it has slots", func(t *testing.T) {
		more := make(chan struct{})
		c := mustDial(t, ccsclient.Options{Window: 2}, func(p *peer) {
			first, second := p.message(), p.message()
			<-more
			p.ack(first)
			third := p.message()
			p.ack(second)
			p.ack(third)
			p.goodbye()
		})
		var mu sync.Mutex
		var order []string
		done := func(r ccsclient.Reply) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, r.MessageID)
		}
		require.NoError(t, c.Send(t.Context(), downstream("1"), done))
		require.NoError(t, c.Send(t.Context(), downstream("2"), done))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, c.Send(ctx, downstream("3"), done), context.DeadlineExceeded)
		assert.Equal(t, 2, c.InFlight())
		close(more)
		require.NoError(t, c.Send(t.Context(), downstream("3"), done))
		synctest.Wait()
		assert.Equal(t, []string{"1", "2", "3"}, order)
	})
	run(t, "everybody who waits for the window gets a turn", func(t *testing.T) {
		const senders, each = 8, 50
		c := mustDial(t, ccsclient.Options{Window: 3}, func(p *peer) {
			for range senders * each {
				p.ack(p.message())
			}
			p.goodbye()
		})
		var group sync.WaitGroup
		errs := make(chan error, senders*each)
		for s := range senders {
			group.Go(func() {
				for i := range each {
					if _, err := c.SendWait(t.Context(), downstream(fmt.Sprint(s, "-", i))); err != nil {
						errs <- err
					}
				}
			})
		}
		group.Wait()
		assert.Empty(t, errs)
	})
	run(t, "a message_id in flight is refused", func(t *testing.T) {
		c := mustDial(t, ccsclient.Options{}, func(p *peer) {
			p.message()
			p.goodbye()
		})
		require.NoError(t, c.Send(t.Context(), downstream("m"), func(ccsclient.Reply) {}))
		require.ErrorIs(t, c.Send(t.Context(), downstream("m"), nil), ccsclient.ErrDuplicate)
	})
	run(t, "a context that ends leaves the answer to nobody", func(t *testing.T) {
		c := mustDial(t, ccsclient.Options{}, func(p *peer) {
			in := p.message()
			time.Sleep(time.Hour)
			p.ack(in)
			p.goodbye()
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := c.SendWait(ctx, downstream("m"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		time.Sleep(2 * time.Hour)
		assert.Zero(t, c.InFlight())
	})
}

func TestTheEnd(t *testing.T) {
	run(t, "Close tells what is in flight", func(t *testing.T) {
		c := mustDial(t, ccsclient.Options{}, func(p *peer) {
			p.message()
			p.goodbye()
		})
		replies := make(chan ccsclient.Reply, 1)
		require.NoError(t, c.Send(t.Context(), downstream("m"), func(r ccsclient.Reply) { replies <- r }))
		require.NoError(t, c.Close())
		assert.Equal(t, ccsclient.Reply{Ack: ccsclient.Ack{MessageID: "m"}, Err: ccsclient.ErrClosed}, <-replies)
		require.ErrorIs(t, c.Send(t.Context(), downstream("n"), nil), ccsclient.ErrClosed)
		require.NoError(t, c.Close(), "a second time")
	})
	run(t, "answers that come before the server's end count", func(t *testing.T) {
		c := mustDial(t, ccsclient.Options{}, func(p *peer) {
			in := p.message()
			if err := p.in.Next(new(stanza.Element)); err != io.EOF {
				panic(err)
			}
			p.ack(in)
			p.write(end)
		})
		replies := make(chan ccsclient.Reply, 1)
		require.NoError(t, c.Send(t.Context(), downstream("m"), func(r ccsclient.Reply) { replies <- r }))
		require.NoError(t, c.Close())
		assert.NoError(t, (<-replies).Err)
	})
	run(t, "a server that doesn't answer the end delays Close by CloseTimeout", func(t *testing.T) {
		c := mustDial(t, ccsclient.Options{CloseTimeout: 2 * time.Second}, func(p *peer) {
			_ = p.in.Next(new(stanza.Element))
			time.Sleep(time.Minute)
		})
		start := time.Now()
		require.NoError(t, c.Close())
		assert.Equal(t, 2*time.Second, time.Since(start))
		assert.NoError(t, c.Err())
	})
	run(t, "the server's end is answered and no error", func(t *testing.T) {
		c := mustDial(t, ccsclient.Options{}, func(p *peer) {
			p.write(end)
			if err := p.in.Next(new(stanza.Element)); err != io.EOF {
				panic(fmt.Errorf("no end tag but %w", err))
			}
		})
		<-c.Done()
		assert.NoError(t, c.Err())
	})
	run(t, "a stream error is the reason", func(t *testing.T) {
		c := mustDial(t, ccsclient.Options{}, func(p *peer) {
			p.message()
			p.write(`<stream:error><policy-violation xmlns="urn:ietf:params:xml:ns:xmpp-streams"/></stream:error></stream:stream>`)
		})
		_, err := c.SendWait(t.Context(), downstream("m"))
		require.ErrorIs(t, err, ccsclient.ErrClosed)
		<-c.Done()
		var ended *ccsclient.StreamError
		require.ErrorAs(t, c.Err(), &ended)
		assert.Equal(t, "policy-violation", ended.Condition)
	})
	run(t, "a lost connection answers with the reason", func(t *testing.T) {
		c := mustDial(t, ccsclient.Options{}, func(p *peer) { p.message() })
		_, err := c.SendWait(t.Context(), downstream("m"))
		require.ErrorIs(t, err, ccsclient.ErrClosed)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		<-c.Done()
		require.ErrorIs(t, c.Err(), io.ErrUnexpectedEOF)
	})
	run(t, "a server that doesn't read is given up", func(t *testing.T) {
		c := mustDial(t, ccsclient.Options{WriteTimeout: time.Minute}, func(p *peer) { time.Sleep(time.Hour) })
		_, err := c.SendWait(t.Context(), downstream("m"))
		require.ErrorIs(t, err, ccsclient.ErrClosed)
		assert.ErrorContains(t, err, "write")
	})
}

func TestDraining(t *testing.T) {
	run(t, "what is in flight is answered, new messages are refused", func(t *testing.T) {
		control := make(chan string, 1)
		o := ccsclient.Options{Window: 1, OnControl: func(o *ccsclient.Control) { control <- o.Type }}
		c := mustDial(t, o, func(p *peer) {
			in := p.message()
			time.Sleep(time.Second)
			p.write(string(stanza.AppendControl(nil, "CONNECTION_DRAINING", "drain-1")))
			time.Sleep(time.Second)
			p.ack(in)
			p.goodbye()
		})
		replies := make(chan ccsclient.Reply, 1)
		require.NoError(t, c.Send(t.Context(), downstream("m"), func(r ccsclient.Reply) { replies <- r }))
		assert.False(t, c.Draining())
		require.ErrorIs(t, c.Send(t.Context(), downstream("waits"), nil), ccsclient.ErrDraining)
		assert.True(t, c.Draining())
		assert.Equal(t, "CONNECTION_DRAINING", <-control)
		assert.NoError(t, (<-replies).Err)
	})
}

func TestUpstream(t *testing.T) {
	upstream := func(id string) string {
		return string(stanza.AppendUpstream(nil, "123@gcm.googleapis.com", &stanza.Upstream{From: "REG", MessageID: id, Category: "app", Data: stanza.Data(nil).Append("id", id)}))
	}
	receipt := string(stanza.AppendReceipt(nil, "123@gcm.googleapis.com", &stanza.Receipt{OriginalID: "m", Token: "REG", Category: "app", Sent: time.UnixMilli(1)}))

	run(t, "what the callback takes is acknowledged, in order", func(t *testing.T) {
		var got []string
		o := ccsclient.Options{
			OnUpstream: func(o *ccsclient.Upstream) error {
				got = append(got, o.MessageID)
				if o.MessageID == "2" {
					return errBroken
				}
				return nil
			},
			OnReceipt: func(o *ccsclient.Receipt) { got = append(got, o.MessageID) },
		}
		c := mustDial(t, o, func(p *peer) {
			p.write(upstream("1") + upstream("2") + receipt + upstream("3"))
			for _, id := range []string{"1", "dr2:m", "3"} {
				in := p.message()
				p.want(id, in.Downstream.MessageID)
				if in.Type != stanza.TypeAck {
					panic(errors.New("no ack"))
				}
			}
			p.goodbye()
		})
		synctest.Wait()
		require.NoError(t, c.Close())
		assert.Equal(t, []string{"1", "2", "dr2:m", "3"}, got)
	})
	run(t, "without a callback it stays with the server, but receipts don't", func(t *testing.T) {
		c := mustDial(t, ccsclient.Options{}, func(p *peer) {
			p.write(upstream("1") + receipt)
			p.want("dr2:m", p.message().Downstream.MessageID)
			p.goodbye()
		})
		synctest.Wait()
		require.NoError(t, c.Close())
	})
	run(t, "the callback may send and wait", func(t *testing.T) {
		var c *ccsclient.Client
		started := make(chan struct{})
		o := ccsclient.Options{OnUpstream: func(o *ccsclient.Upstream) error {
			<-started
			_, err := c.SendWait(context.Background(), downstream("answer to "+o.MessageID))
			return err
		}}
		c = mustDial(t, o, func(p *peer) {
			p.write(upstream("1"))
			in := p.message()
			p.want("answer to 1", in.Downstream.MessageID)
			p.ack(in)
			p.want("1", p.message().Downstream.MessageID)
			p.goodbye()
		})
		close(started)
		synctest.Wait()
	})
}

func TestIQs(t *testing.T) {
	run(t, "a ping is answered, anything else refused, addresses mirrored", func(t *testing.T) {
		mustDial(t, ccsclient.Options{}, func(p *peer) {
			p.write(`<iq id="1" type="get" from="gcm.googleapis.com"><ping xmlns="urn:xmpp:ping"/></iq>`)
			p.want(`<iq id="1" to="gcm.googleapis.com" type="result"/>`, string(p.next().Raw))
			p.write(`<iq id="2" type="set"><x xmlns="y"/></iq> <iq id="3" type="result"/>`)
			p.want(`<iq id="2" type="error"><error type="cancel"><service-unavailable xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>`, string(p.next().Raw))
			p.goodbye()
		})
		synctest.Wait()
	})
}

func TestWhatIsNotUnderstoodIsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := mustDial(t, ccsclient.Options{}, func(p *peer) {
			in := p.message()
			p.write(` <presence/><message><body>hello</body></message><message><gcm xmlns="google:mobile:data">what?</gcm></message>`)
			p.write(string(stanza.AppendAck(nil, "REG", "never sent", "")))
			p.ack(in)
			p.goodbye()
		})
		_, err := c.SendWait(t.Context(), downstream("m"))
		require.NoError(t, err)
	})
}

// A server may send upstream messages as soon as the address is bound, before the client requests
// the session.
func TestUpstreamBeforeTheSession(t *testing.T) {
	early := string(stanza.AppendUpstream(nil, "123@gcm.googleapis.com", &stanza.Upstream{From: "REG", MessageID: "early", Category: "app"}))
	got := make(chan string, 1)
	c, err := dial(t, ccsclient.Options{OnUpstream: func(o *ccsclient.Upstream) error { got <- o.MessageID; return nil }}, func(p *peer) {
		p.header()
		p.write(header + mechanisms)
		p.next()
		p.write(success)
		p.header()
		p.write(header + bind)
		p.next()
		p.write(bound + early)
		p.next()
		p.write(`<iq id="session" type="result"/>`)
		p.want("presence", p.next().Local)
		p.want("early", p.message().Downstream.MessageID)
		p.goodbye()
	})
	require.NoError(t, err)
	assert.Equal(t, "early", <-got)
	require.NoError(t, c.Close())
}

// A record is what one Read of a tls.Conn returns. The first message is under way when the others
// gather.
func TestOneStanzaPerRecord(t *testing.T) {
	ids := []string{"m-1", "m-2", "m-3"}
	sent := make(chan struct{})
	c := mustDial(t, ccsclient.Options{OnePerRecord: true}, func(p *peer) {
		<-sent
		b := make([]byte, 64<<10)
		for _, id := range ids {
			n, err := p.conn.Read(b)
			if err != nil {
				panic(err)
			}
			p.want(string(stanza.AppendDownstream(nil, &stanza.Downstream{To: "REG", MessageID: id, Data: `{"k":"v"}`})), string(b[:n]))
			p.write(string(stanza.AppendAck(nil, "REG", id, "")))
		}
		p.goodbye()
	})
	answers := make(chan ccsclient.Reply, len(ids))
	for _, id := range ids {
		require.NoError(t, c.Send(t.Context(), downstream(id), func(r ccsclient.Reply) { answers <- r }))
	}
	close(sent)
	for _, id := range ids {
		assert.Equal(t, ccsclient.Reply{Ack: ccsclient.Ack{MessageID: id}}, <-answers)
	}
}
