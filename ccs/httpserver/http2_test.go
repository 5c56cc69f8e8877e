package httpserver_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/flowcontrol"
)

// The frames of HTTP/2 that the test writes and reads (RFC 9113 §6).
const (
	frameHeaders   = 1
	frameRSTStream = 3
	frameSettings  = 4
	frameGoAway    = 7
	enhanceCalm    = 0xb // an error code (RFC 9113 §7)
)

func appendFrame(b []byte, kind, flags byte, stream uint32, payload string) []byte {
	b = append(b, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}

// A client that opens streams and resets them at once (CVE-2023-44487) has no more calls under way
// than a client that waits for its answers, and is told to go away.
func TestRapidReset(t *testing.T) {
	t.Parallel()
	var running, most atomic.Int64
	release := make(chan struct{})
	slow := httpserver.Route{Pattern: "GET /slow", Call: func(*http.Request) httpserver.Answer {
		n := running.Add(1)
		defer running.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		<-release
		return httpserver.Text(http.StatusOK, "ok")
	}}
	budget := flowcontrol.NewBudget(1 << 20)
	dial := servingWith(t, false, httpserver.Options{Routes: []httpserver.Route{slow}, Bodies: budget})
	t.Cleanup(sync.OnceFunc(func() { close(release) }))
	nc := dial()
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	ended := make(chan int, 1)
	go func() { ended <- goAway(nc) }()
	_, err := io.WriteString(nc, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	require.NoError(t, err)
	_, err = nc.Write(appendFrame(nil, frameSettings, 0, 0, ""))
	require.NoError(t, err)
	const head = "\x82\x86\x04\x05/slow\x01\x01x" // GET, http, /slow, host x (RFC 7541 §6)
	reset := string([]byte{0, 0, 0, 8})           // CANCEL
	for stream := uint32(1); stream < 20_000; stream += 2 {
		b := appendFrame(nil, frameHeaders, 0x5, stream, head)
		if _, err := nc.Write(appendFrame(b, frameRSTStream, 0, stream, reset)); err != nil {
			break // the server has ended the connection
		}
	}
	assert.EqualValues(t, enhanceCalm, <-ended)
	assert.Positive(t, most.Load())
	assert.LessOrEqual(t, most.Load(), int64(100))
}

// goAway reads frames until the server says that it closes the connection, and returns why, or -1
// if it does not say so.
func goAway(nc net.Conn) int {
	in := bufio.NewReader(nc)
	for {
		var head [9]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return -1
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(in, payload); err != nil {
			return -1
		}
		if head[3] == frameGoAway {
			return int(binary.BigEndian.Uint32(payload[4:]))
		}
	}
}

// The buffers of an HTTP/2 connection are charged while it has a request, and a request that finds
// the budget used up is answered 503.
func TestHTTP2IsCharged(t *testing.T) {
	t.Parallel()
	budget := flowcontrol.NewBudget(1 << 20)
	asked := make(chan int64, 1)
	route := httpserver.Route{Pattern: "GET /used", Call: func(*http.Request) httpserver.Answer {
		asked <- budget.Used()
		return httpserver.Text(http.StatusOK, "ok")
	}}
	dial := servingWith(t, false, httpserver.Options{Routes: []httpserver.Route{route}, Bodies: budget})
	tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return dial(), nil }, Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	defer tr.CloseIdleConnections()
	hc := &http.Client{Transport: tr, Timeout: 30 * time.Second}
	resp, err := hc.Get("http://x/used")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, "HTTP/2.0", resp.Proto)
	assert.GreaterOrEqual(t, <-asked, int64(64<<10))
	require.Eventually(t, func() bool { return budget.Used() == 0 }, 10*time.Second, time.Millisecond)
	budget.Add(budget.Limit())
	resp, err = hc.Get("http://x/used")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	assert.NotEmpty(t, resp.Header.Get("Retry-After"))
	budget.Add(-budget.Limit())
}

func TestALargeHeadIsRefused(t *testing.T) {
	t.Parallel()
	nc := serving(t, true)()
	defer nc.Close()
	_, err := io.WriteString(nc, "GET /healthz HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusRequestHeaderFieldsTooLarge, resp.StatusCode)
	resp.Body.Close()
}

// A client that asks first sends its body only if the answer says so (CCS 6.1).
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	refuse := httpserver.Route{Pattern: "POST /refuse", Call: func(*http.Request) httpserver.Answer { return httpserver.Text(http.StatusUnauthorized, "no") }}
	dial := servingWith(t, false, httpserver.Options{Routes: []httpserver.Route{echo, refuse}})
	for _, row := range []struct {
		path string
		want []int
	}{{"/echo/x", []int{100, 200}}, {"/refuse", []int{401}}} {
		nc := dial()
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(30 * time.Second))
		_, err := io.WriteString(nc, "POST "+row.path+" HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
		require.NoError(t, err)
		in := bufio.NewReader(nc)
		for _, want := range row.want {
			resp, err := http.ReadResponse(in, nil)
			require.NoError(t, err)
			assert.Equal(t, want, resp.StatusCode)
			if want == 100 {
				_, err = io.WriteString(nc, "hello")
				require.NoError(t, err)
			}
		}
	}
}

// While the server drains, an HTTP/2 connection gets its answer and GOAWAY.
func TestHTTP2WhileDraining(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := httpserver.New(&devices{}, httpserver.Options{Routes: []httpserver.Route{echo}})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	defer func() {
		require.NoError(t, s.Shutdown(t.Context()))
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	s.Drain()
	_, err = io.WriteString(nc, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	require.NoError(t, err)
	b := appendFrame(nil, frameSettings, 0, 0, "")
	_, err = nc.Write(appendFrame(b, frameHeaders, 0x5, 1, "\x82\x86\x04\x08/healthz\x01\x01x"))
	require.NoError(t, err)
	assert.Zero(t, goAway(nc), "no error")
}
