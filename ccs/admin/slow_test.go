package admin_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/admin"
)

// pipes is a listener with one connection, which is a pipe.
type pipes struct{ conns chan net.Conn }

func (l pipes) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }
func (pipes) Close() error   { return nil }

// A request that begins and does not end closes its connection within 60 s, even if bytes trickle
// in.
func TestARequestThatDoesNotEnd(t *testing.T) {
	for _, row := range []struct{ name, begins string }{
		{"the header", "POST /echo HTTP/1.1\r\nHost: x\r\n"},
		{"the body", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"},
		{"a body that nobody reads", "POST /deaf HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"},
		{"the second request", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}P"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mux := http.NewServeMux()
				mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
				mux.HandleFunc("/deaf", func(http.ResponseWriter, *http.Request) {})
				l := pipes{make(chan net.Conn, 1)}
				here, there := net.Pipe()
				l.conns <- there
				s := admin.NewHTTPServer(mux, nil)
				served := make(chan struct{})
				go func() { defer close(served); s.Serve(l) }()
				defer func() { close(l.conns); s.Close(); <-served }()

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
