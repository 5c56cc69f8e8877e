package httpserver_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/devcert"
	"github.com/openccs/openccs/ccs/httpserver"
)

// serving starts a server on a socket, with TLS or without, and returns how to connect to it.
func serving(t *testing.T, overTLS bool) func() net.Conn {
	t.Helper()
	return servingWith(t, overTLS, httpserver.Options{})
}

func servingWith(t *testing.T, overTLS bool, o httpserver.Options) func() net.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	dial := func() net.Conn {
		nc, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		return nc
	}
	s := httpserver.New(&devices{}, o)
	serve := func() error { return s.Serve(l) }
	if overTLS {
		pair, err := devcert.New([]string{"localhost"}, time.Now())
		require.NoError(t, err)
		conf := &tls.Config{Certificates: []tls.Certificate{pair.Cert}}
		serve = func() error { return s.ServeTLS(l, conf) }
		plain, trust := dial, &tls.Config{RootCAs: pair.Pool, ServerName: "localhost"}
		dial = func() net.Conn { return tls.Client(plain(), trust) }
	}
	done := make(chan error, 1)
	go func() { done <- serve() }()
	t.Cleanup(func() {
		require.NoError(t, s.Shutdown(context.Background()))
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	return dial
}

var longValue = strings.Repeat("x", 5000)

// After requests of every kind on one connection, one that has two lengths is still found.
func TestTwoLengthsAreFoundAfterOtherRequests(t *testing.T) {
	t.Parallel()
	nc := serving(t, true)()
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	in := bufio.NewReader(nc)
	for i, request := range []string{
		"POST /checkin HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n\x10\x00",
		"POST /checkin HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\x10\x00\r\n0\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /checkin HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\x10\x00\r\n0\r\n\r\n",
		"POST /checkin HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		_, err := io.WriteString(nc, request)
		require.NoError(t, err)
		resp, err := http.ReadResponse(in, nil)
		require.NoError(t, err, i)
		io.Copy(io.Discard, resp.Body)
		assert.Equal(t, i == 5, resp.Close, "request %d", i)
	}
}

// A request that states its length in two ways is answered, and then its connection is closed. The
// bytes after it may be the body for one reader and a request for another (RFC 9112 §6.3).
func TestTwoLengthsEndTheConnection(t *testing.T) {
	t.Parallel()
	const (
		both    = "POST /checkin HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
		swapped = "POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"
		chunked = "POST /checkin HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\x10\x00\r\n0\r\n\r\n"
		nowhere = "POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
		bare    = "POST /checkin HTTP/1.1\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
		options = "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"
		plain   = "POST /checkin HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
	)
	long := "POST /checkin HTTP/1.1\r\nHost: x\r\ncontent-LENGTH: 5\r\nX: " + longValue + "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
	for _, overTLS := range []bool{false, true} {
		name := map[bool]string{false: "plain", true: "TLS"}[overTLS]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dial := serving(t, overTLS)
			for _, row := range []struct {
				name, request string
				status        int
				closes        bool
			}{
				{"both", both, 200, true},
				{"both, on a path that does not exist", swapped, 404, true},
				{"both, far apart", long, 200, true},
				{"a length", plain, 200, false},
				{"chunks", chunked, 200, false},
				{"chunks on a path that does not exist", nowhere, 404, false},
				{"chunks in an odd form", bare, 200, true},
				{"no handler", options, 200, false},
			} {
				nc := dial()
				defer nc.Close()
				nc.SetDeadline(time.Now().Add(10 * time.Second))
				_, err := io.WriteString(nc, row.request+"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
				require.NoError(t, err)
				in := bufio.NewReader(nc)
				resp, err := http.ReadResponse(in, nil)
				require.NoError(t, err, row.name)
				assert.Equal(t, row.status, resp.StatusCode, row.name)
				io.Copy(io.Discard, resp.Body)
				assert.Equal(t, row.closes, resp.Close, row.name)
				_, err = http.ReadResponse(in, nil)
				if row.closes {
					assert.ErrorIs(t, err, io.ErrUnexpectedEOF, "%s: the next request must not be answered", row.name)
				} else {
					assert.NoError(t, err, row.name)
				}
			}
		})
	}
}
