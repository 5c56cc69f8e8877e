package httpserver_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/flowcontrol"
)

// Bodies are charged to a budget while they are held, by their decompressed size. If it is used up,
// the answer asks the client to call again later, in words that it understands.
func TestBodiesAreBounded(t *testing.T) {
	budget := flowcontrol.NewBudget(64 << 10)
	s := httpserver.New(&devices{}, httpserver.Options{Bodies: budget})
	large := zipped(string(make([]byte, 200<<10)))
	for _, row := range []struct {
		name, path, body string
		headers          []string
		free, used       int // status while there is room, and while there is none
		word             string
	}{
		{"a check-in", "/checkin", "\x10\x00", nil, 200, 503, "try again later"},
		{"a check-in that unzips to more than there is room for", "/checkin", large, []string{"Content-Encoding", "gzip"}, 503, 503, "try again later"},
		{"a registration", "/c2dm/register3", "app=a&sender=126200347933&device=4611686018427387905", []string{"Authorization", login}, 200, 503, "Error=InternalServerError"},
		{"an installation", "/v1/projects/p/installations", "{}", nil, 200, 503, "try again later"},
	} {
		t.Run(row.name, func(t *testing.T) {
			assert.Equal(t, row.free, requestOf(t, s, "192.0.2.1", "POST", row.path, row.body, row.headers...).StatusCode)
			assert.Zero(t, budget.Used(), "what was charged is given back")
			budget.Add(budget.Limit())
			defer budget.Add(-budget.Limit())
			resp := requestOf(t, s, "192.0.2.1", "POST", row.path, row.body, row.headers...)
			assert.Equal(t, row.used, resp.StatusCode)
			assert.NotEmpty(t, resp.Header.Get("Retry-After"))
			assert.Equal(t, row.word, text(t, resp))
		})
	}
}

// A TLS handshake is charged until its end, and refused if the budget is used up.
func TestHandshakesAreCharged(t *testing.T) {
	t.Parallel()
	budget := flowcontrol.NewBudget(64 << 10)
	dial := servingWith(t, true, httpserver.Options{Bodies: budget})
	nc := dial().(*tls.Conn)
	defer nc.Close()
	require.NoError(t, nc.Handshake())
	_, err := io.WriteString(nc, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	_, err = http.ReadResponse(bufio.NewReader(nc), nil)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return budget.Used() == 0 }, 10*time.Second, time.Millisecond, "the handshake is over")

	half := dial().(*tls.Conn).NetConn()
	defer half.Close()
	_, err = half.Write([]byte("\x16\x03\x01\x40\x00"))
	require.NoError(t, err)
	_, err = half.Write(make([]byte, 1000))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return budget.Used() > 0 }, 10*time.Second, time.Millisecond)
	half.Close()
	require.Eventually(t, func() bool { return budget.Used() == 0 }, 10*time.Second, time.Millisecond)

	budget.Add(budget.Limit())
	defer budget.Add(-budget.Limit())
	assert.Error(t, dial().(*tls.Conn).Handshake())
}

// Heads are charged until their requests are answered, even on connections with earlier requests.
func TestHeadsAreCharged(t *testing.T) {
	t.Parallel()
	for _, overTLS := range []bool{false, true} {
		t.Run(map[bool]string{false: "plain", true: "TLS"}[overTLS], func(t *testing.T) {
			t.Parallel()
			const limit = 256 << 10
			budget := flowcontrol.NewBudget(limit)
			dial := servingWith(t, overTLS, httpserver.Options{Bodies: budget})
			ask := func(nc net.Conn) (int, error) {
				if _, err := io.WriteString(nc, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
					return 0, err
				}
				resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
				if err != nil {
					return 0, err
				}
				return resp.StatusCode, nil
			}
			var open []net.Conn
			for range 40 {
				nc := dial()
				defer nc.Close()
				nc.SetDeadline(time.Now().Add(10 * time.Second))
				code, err := ask(nc)
				require.NoError(t, err)
				require.Equal(t, 200, code)
				open = append(open, nc)
			}
			require.Eventually(t, func() bool { return budget.Used() == 0 }, 10*time.Second, time.Millisecond)
			head := "GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 30<<10)
			last := open[len(open)-1]
			for _, nc := range open[:len(open)-1] {
				io.WriteString(nc, head) // the head does not end; some are refused
			}
			require.Eventually(t, func() bool { return budget.Used() > limit/2 }, 10*time.Second, time.Millisecond)
			code, err := ask(dial())
			require.NoError(t, err)
			require.Equal(t, 200, code, "small requests go on")
			budget.Add(limit)
			defer budget.Add(-limit)
			io.WriteString(last, head[:1000]) // the server reads all of it, so the answer is not lost
			refused, err := http.ReadResponse(bufio.NewReader(last), nil)
			require.NoError(t, err)
			assert.Equal(t, 503, refused.StatusCode)
			assert.NotEmpty(t, refused.Header.Get("Retry-After"))
			for _, nc := range open {
				nc.Close()
			}
			require.Eventually(t, func() bool { return budget.Used() == limit }, 10*time.Second, time.Millisecond)
		})
	}
}
