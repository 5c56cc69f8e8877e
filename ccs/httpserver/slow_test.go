package httpserver_test

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/devcert"
	"github.com/openccs/openccs/ccs/httpserver"
)

// pipes is a listener whose connections are pipes.
type pipes chan net.Conn

func (l pipes) Accept() (net.Conn, error) {
	if c, ok := <-l; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }
func (pipes) Close() error   { return nil }

// An unfinished request ends its connection within 60 s, even if more bytes come slowly.
func TestARequestThatDoesNotEnd(t *testing.T) {
	for _, row := range []struct {
		name, begins string
		tls          bool
	}{
		{"half a handshake", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc", true},
		{"the header", "POST /checkin HTTP/1.1\r\nHost: x\r\n", false},
		{"the body", "POST /checkin HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{", false},
		{"a body that nobody reads", "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{", false},
		{"the second request", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nG", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := make(pipes, 1)
				here, there := net.Pipe()
				if row.tls {
					pair, err := devcert.New([]string{"localhost"}, time.Now())
					require.NoError(t, err)
					there = tls.Server(there, &tls.Config{Certificates: []tls.Certificate{pair.Cert}})
				}
				l <- there
				s := httpserver.New(&devices{}, httpserver.Options{})
				served := make(chan struct{})
				go func() { defer close(served); s.Serve(l) }()
				defer func() {
					close(l)
					<-served
					assert.NoError(t, s.Shutdown(t.Context()))
				}()

				start := time.Now()
				var slow sync.WaitGroup
				defer slow.Wait()
				slow.Go(func() {
					io.WriteString(here, row.begins)
					for range 59 {
						time.Sleep(time.Second)
						if _, err := io.WriteString(here, " "); err != nil {
							return
						}
					}
				})
				here.SetReadDeadline(time.Now().Add(time.Hour))
				_, err := io.Copy(io.Discard, here)
				require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the connection lives")
				assert.LessOrEqual(t, time.Since(start), 61*time.Second)
			})
		})
	}
}

// A connection without requests ends within a minute.
func TestAnIdleConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := make(pipes, 1)
		here, there := net.Pipe()
		l <- there
		s := httpserver.New(&devices{}, httpserver.Options{})
		served := make(chan struct{})
		go func() { defer close(served); s.Serve(l) }()
		defer func() {
			close(l)
			<-served
			assert.NoError(t, s.Shutdown(t.Context()))
		}()
		go io.WriteString(here, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		start := time.Now()
		here.SetReadDeadline(time.Now().Add(time.Hour))
		answer, err := io.ReadAll(here)
		require.NoError(t, err)
		assert.Contains(t, string(answer), "200 OK")
		assert.Equal(t, time.Minute, time.Since(start))
	})
}
