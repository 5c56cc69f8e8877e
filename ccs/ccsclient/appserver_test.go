package ccsclient_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/stanza"
)

var errDown = errors.New("the server is down")

// scripts makes options for which the nth connection runs the nth script after the login. A
// connection without a script finds no server. The test fails if a script fails.
func scripts(t *testing.T, o ccsclient.AppServerOptions, list ...func(p *peer)) ccsclient.AppServerOptions {
	return manyScripts(t, o, func(n int) func(p *peer) {
		if n >= len(list) {
			return nil
		}
		return list[n]
	})
}

func manyScripts(t *testing.T, o ccsclient.AppServerOptions, script func(n int) func(p *peer)) ccsclient.AppServerOptions {
	cert, roots := certificate(t)
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	n := 0
	o.TLS = tlsConfig(roots)
	o.Dial = func(context.Context, string, string) (net.Conn, error) {
		run := script(n)
		n++
		if run == nil {
			return nil, errDown
		}
		client, server := net.Pipe()
		running.Go(func() {
			conn := tls.Server(server, &tls.Config{Certificates: []tls.Certificate{cert}})
			defer server.Close()
			defer func() {
				if err := recover(); err != nil {
					t.Error("script:", err)
				}
			}()
			p := &peer{conn: conn, in: stanza.NewReader(conn, stanza.AfterBind)}
			p.login()
			run(p)
			conn.CloseWrite()
		})
		return client, nil
	}
	return o
}

// running is an AppServer whose Run is under way.
type running struct {
	*ccsclient.AppServer
	cancel context.CancelFunc
	ended  chan error
}

func runAppServer(t *testing.T, o ccsclient.AppServerOptions) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{ccsclient.NewAppServer("gcm.googleapis.com:5235", "123", "KEY", o), cancel, make(chan error, 1)}
	go func() { r.ended <- r.Run(ctx) }()
	t.Cleanup(func() { cancel(); synctest.Wait() })
	return r
}

// send sends a message and returns the channel of its replies. There must be exactly one.
func (r *running) send(t *testing.T, id string) <-chan ccsclient.Reply {
	t.Helper()
	replies := make(chan ccsclient.Reply, 2)
	require.NoError(t, r.Send(t.Context(), downstream(id), func(r ccsclient.Reply) { replies <- r }))
	return replies
}

func draining(p *peer) { p.write(string(stanza.AppendControl(nil, "CONNECTION_DRAINING", "d"))) }

// hangUp ends the stream and reads the end of the client's, as a server does after it has drained
// a connection.
func (p *peer) hangUp() {
	p.write(end)
	if err := p.in.Next(new(stanza.Element)); err != io.EOF {
		panic(fmt.Errorf("%v instead of the end", err))
	}
}

func TestAppServerSendsAgainWhatWasNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reasons []error
		a := runAppServer(t, scripts(t, ccsclient.AppServerOptions{
			OnDisconnect: func(reason error, wait time.Duration) { reasons = append(reasons, reason) },
		}, func(p *peer) {
			p.ack(p.message())
			p.want("2", p.message().Downstream.MessageID)
			p.want("3", p.message().Downstream.MessageID) // and then the connection is lost
		}, func(p *peer) {
			for _, id := range []string{"2", "3", "4"} {
				in := p.message()
				p.want(id, in.Downstream.MessageID)
				p.ack(in)
			}
			p.goodbye()
		}))
		one, two, three := a.send(t, "1"), a.send(t, "2"), a.send(t, "3")
		require.NoError(t, (<-one).Err)
		synctest.Wait()
		assert.False(t, a.Connected())
		assert.Equal(t, 2, a.Unanswered())
		four := a.send(t, "4")
		for id, replies := range map[string]<-chan ccsclient.Reply{"2": two, "3": three, "4": four} {
			assert.Equal(t, ccsclient.Reply{Ack: ccsclient.Ack{MessageID: id}}, <-replies)
		}
		a.cancel()
		assert.ErrorIs(t, <-a.ended, context.Canceled)
		assert.Len(t, reasons, 1)
		assert.ErrorIs(t, reasons[0], io.ErrUnexpectedEOF)
		assert.Empty(t, one)
		assert.Empty(t, two)
	})
}

func TestAppServerHonoursDraining(t *testing.T) {
	run(t, "the next connection takes what is new, the old one answers what it has", func(t *testing.T) {
		finish := make(chan struct{})
		a := runAppServer(t, scripts(t, ccsclient.AppServerOptions{}, func(p *peer) {
			in := p.message()
			draining(p)
			<-finish
			p.ack(in)
			p.hangUp()
		}, func(p *peer) {
			in := p.message()
			p.want("2", in.Downstream.MessageID)
			p.ack(in)
			p.goodbye()
		}))
		start := time.Now()
		one := a.send(t, "1")
		synctest.Wait()
		require.NoError(t, (<-a.send(t, "2")).Err)
		assert.Empty(t, one)
		assert.Zero(t, time.Since(start), "the next connection is opened at once")
		close(finish)
		require.NoError(t, (<-one).Err)
		assert.Zero(t, a.Unanswered())
	})
	run(t, "what the old one does not answer goes to the next", func(t *testing.T) {
		die := make(chan struct{})
		a := runAppServer(t, scripts(t, ccsclient.AppServerOptions{}, func(p *peer) {
			p.message()
			draining(p)
			<-die
		}, func(p *peer) {
			in := p.message()
			p.want("1", in.Downstream.MessageID)
			p.ack(in)
			p.goodbye()
		}))
		one := a.send(t, "1")
		synctest.Wait()
		close(die)
		require.NoError(t, (<-one).Err)
	})
	run(t, "a connection that never ends is given up", func(t *testing.T) {
		a := runAppServer(t, scripts(t, ccsclient.AppServerOptions{DrainTimeout: time.Minute}, func(p *peer) {
			p.message()
			draining(p)
			time.Sleep(time.Hour)
		}, func(p *peer) {
			p.ack(p.message())
			p.goodbye()
		}))
		start := time.Now()
		require.NoError(t, (<-a.send(t, "1")).Err)
		assert.Equal(t, time.Minute+time.Second, time.Since(start), "and CloseTimeout")
	})
	run(t, "a message that the server refuses because it drains goes to the next", func(t *testing.T) {
		a := runAppServer(t, scripts(t, ccsclient.AppServerOptions{}, func(p *peer) {
			in := p.message()
			p.write(string(stanza.AppendNack(nil, "REG", in.Downstream.MessageID, stanza.ConnectionDraining, "")))
			p.hangUp()
		}, func(p *peer) {
			p.ack(p.message())
			p.goodbye()
		}))
		require.NoError(t, (<-a.send(t, "1")).Err)
	})
	run(t, "a server that drains each connection at once meets the backoff", func(t *testing.T) {
		opened := 0
		o := manyScripts(t, ccsclient.AppServerOptions{OnConnect: func() { opened++ }, Backoff: func(int) time.Duration { return time.Second }}, func(int) func(*peer) {
			return func(p *peer) {
				draining(p)
				_ = p.in.Next(new(stanza.Element))
			}
		})
		a := runAppServer(t, o)
		time.Sleep(time.Minute)
		a.cancel()
		assert.ErrorIs(t, <-a.ended, context.Canceled)
		assert.Less(t, opened, 10, "no more than four are draining")
	})
}

func TestAppServerWithoutAConnection(t *testing.T) {
	run(t, "the window bounds what waits", func(t *testing.T) {
		o := ccsclient.AppServerOptions{}
		o.Window = 2
		a := runAppServer(t, scripts(t, o))
		a.send(t, "1")
		a.send(t, "2")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, a.Send(ctx, downstream("3"), nil), context.DeadlineExceeded)
	})
	run(t, "a message_id that has no answer is refused", func(t *testing.T) {
		a := runAppServer(t, scripts(t, ccsclient.AppServerOptions{}))
		a.send(t, "1")
		assert.ErrorIs(t, a.Send(t.Context(), downstream("1"), nil), ccsclient.ErrDuplicate)
		assert.Equal(t, 1, a.Unanswered())
	})
	run(t, "the waits grow", func(t *testing.T) {
		var waits []time.Duration
		a := runAppServer(t, scripts(t, ccsclient.AppServerOptions{OnDisconnect: func(reason error, wait time.Duration) {
			assert.ErrorIs(t, reason, errDown)
			waits = append(waits, wait)
		}}))
		time.Sleep(5 * time.Minute)
		a.cancel()
		<-a.ended
		require.Greater(t, len(waits), 9)
		for i, wait := range waits {
			most := min(500*time.Millisecond<<min(i, 6), 30*time.Second)
			assert.LessOrEqual(t, wait, most)
			assert.GreaterOrEqual(t, wait, most*2/3)
		}
	})
	run(t, "the end answers what waits", func(t *testing.T) {
		a := runAppServer(t, scripts(t, ccsclient.AppServerOptions{}))
		one := a.send(t, "1")
		a.cancel()
		require.ErrorIs(t, <-a.ended, context.Canceled)
		assert.Equal(t, ccsclient.Reply{Ack: ccsclient.Ack{MessageID: "1"}, Err: ccsclient.ErrClosed}, <-one)
		assert.ErrorIs(t, a.Send(t.Context(), downstream("2"), nil), ccsclient.ErrClosed)
	})
}

func TestAppServerEnds(t *testing.T) {
	run(t, "when the server refuses the key", func(t *testing.T) {
		cert, roots := certificate(t)
		client, server := net.Pipe()
		go func() {
			p := &peer{conn: tls.Server(server, &tls.Config{Certificates: []tls.Certificate{cert}})}
			p.in = stanza.NewReader(p.conn, stanza.AfterBind)
			p.header()
			p.write(header + mechanisms)
			p.next()
			p.write(`<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><not-authorized/></failure>`)
		}()
		o := ccsclient.AppServerOptions{Options: ccsclient.Options{TLS: tlsConfig(roots), Dial: func(context.Context, string, string) (net.Conn, error) { return client, nil }}}
		a := runAppServer(t, o)
		one := a.send(t, "1")
		var refused *ccsclient.AuthError
		require.ErrorAs(t, <-a.ended, &refused)
		require.ErrorIs(t, (<-one).Err, ccsclient.ErrClosed)
	})
	run(t, "while a callback waits for an answer", func(t *testing.T) {
		var a *running
		started := make(chan struct{})
		o := ccsclient.AppServerOptions{Options: ccsclient.Options{OnUpstream: func(u *ccsclient.Upstream) error {
			<-started
			_, err := a.SendWait(context.Background(), downstream("answer"))
			return err
		}}}
		a = runAppServer(t, scripts(t, o, func(p *peer) {
			p.write(string(stanza.AppendUpstream(nil, "123@gcm.googleapis.com", &stanza.Upstream{From: "REG", MessageID: "u"})))
			p.want("answer", p.message().Downstream.MessageID)
			p.goodbye()
		}))
		close(started)
		synctest.Wait()
		a.cancel()
		require.ErrorIs(t, <-a.ended, context.Canceled)
	})
}

// Whatever the server does, each message gets one Reply. An acknowledged message gets an Ack.
func TestAppServerAccountsForEveryMessage(t *testing.T) {
	for seed := range uint64(8) {
		run(t, fmt.Sprint("seed ", seed), func(t *testing.T) {
			const total = 300
			var mu sync.Mutex
			random := rand.New(rand.NewPCG(seed, 1))
			dice := func(n int) int { mu.Lock(); defer mu.Unlock(); return random.IntN(n) }
			acked, received := map[string]bool{}, map[string]int{}
			o := ccsclient.AppServerOptions{}
			o.Window = 20
			a := runAppServer(t, manyScripts(t, o, func(int) func(*peer) {
				if dice(4) == 0 {
					return nil
				}
				return func(p *peer) {
					told := false
					for {
						var e stanza.Element
						if p.in.Next(&e) != nil {
							p.write(end)
							return
						}
						var in stanza.Inbound
						if err := stanza.DecodeInbound(e.Payload, nil, &in); err != nil {
							panic(err)
						}
						id := in.Downstream.MessageID
						mu.Lock()
						received[id]++
						mu.Unlock()
						switch dice(20) {
						case 0: // lost, with everything that waits for its answer
							return
						case 1:
							if !told {
								told = true
								draining(p)
							}
						case 2, 3: // an answer that takes time
							time.Sleep(time.Duration(dice(1000)) * time.Millisecond)
						}
						mu.Lock()
						acked[id] = true
						mu.Unlock()
						p.ack(in)
					}
				}
			}))
			replies := make(chan ccsclient.Reply, 2*total)
			for i := range total {
				require.NoError(t, a.Send(t.Context(), downstream(fmt.Sprint(i)), func(r ccsclient.Reply) { replies <- r }))
			}
			seen := map[string]bool{}
			for range total {
				r := <-replies
				require.NoError(t, r.Err)
				require.False(t, seen[r.MessageID], "%s has two replies", r.MessageID)
				seen[r.MessageID] = true
			}
			a.cancel()
			<-a.ended
			assert.Empty(t, replies)
			assert.Zero(t, a.Unanswered())
			mu.Lock()
			defer mu.Unlock()
			assert.Len(t, acked, total)
			assert.Len(t, received, total)
		})
	}
}
