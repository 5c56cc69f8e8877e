package httpserver_test

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/flowcontrol"
)

// echo is a door that answers with the body, decompressed.
var echo = httpserver.Route{Pattern: "POST /echo/{token}", Door: "echo", Call: func(r *http.Request) httpserver.Answer {
	body, err := httpserver.ReadSenderBody(r, 1000)
	if err != nil {
		return httpserver.BodyAnswer(err)
	}
	return httpserver.Answer{Status: http.StatusOK, ContentType: "text/plain", Body: body, Sender: "126200347933", Outcome: "fine"}
}}

func deflated(t *testing.T, s string, raw bool) string {
	t.Helper()
	var b bytes.Buffer
	var z io.WriteCloser = zlib.NewWriter(&b)
	if raw {
		var err error
		z, err = flate.NewWriter(&b, flate.DefaultCompression)
		require.NoError(t, err)
	}
	_, err := io.WriteString(z, s)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.String()
}

func TestADoorIsServedOnEveryHost(t *testing.T) {
	s := httpserver.New(&devices{}, httpserver.Options{Routes: []httpserver.Route{echo}})
	for _, url := range []string{"/echo/x", "http://fcm.googleapis.com/echo/x", "http://127.0.0.1:1//echo/x", "http://gcm-http.googleapis.com///echo/x"} {
		resp := requestOf(t, s, "192.0.2.1", "POST", url, "hello")
		assert.Equal(t, http.StatusOK, resp.StatusCode, url)
		assert.Equal(t, "hello", text(t, resp), url)
	}
	resp := requestOf(t, s, "192.0.2.1", "GET", "/echo/x", "")
	assert.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
	assert.Equal(t, "POST", resp.Header.Get("Allow"))
}

func TestBodiesOfDoors(t *testing.T) {
	long := string(make([]byte, 1001))
	budget := flowcontrol.NewBudget(64 << 10)
	s := httpserver.New(&devices{}, httpserver.Options{Routes: []httpserver.Route{echo}, Memory: budget})
	for _, row := range []struct {
		name, body, coding string
		status             int
		want               string
	}{
		{"plain", "hello", "", 200, "hello"},
		{"identity", "hello", "identity", 200, "hello"},
		{"gzip", zipped("hello"), "gzip", 200, "hello"},
		{"x-gzip in capitals", zipped("hello"), "X-GZIP", 200, "hello"},
		{"deflate as RFC 9110 has it", deflated(t, "hello", false), "deflate", 200, "hello"},
		{"deflate without the zlib format", deflated(t, "hello", true), "deflate", 200, "hello"},
		{"empty", "", "", 200, ""},
		{"of just the limit", long[:1000], "", 200, long[:1000]},
		{"too long", long, "", 413, "body too large"},
		{"too long when decompressed", zipped(long), "gzip", 413, "body too large"},
		{"too long when inflated", deflated(t, long, false), "deflate", 413, "body too large"},
		{"an unknown coding", "hello", "br", 415, "unknown content encoding"},
		{"two codings", "hello", "gzip, gzip", 415, "unknown content encoding"},
		{"no gzip", "hello", "gzip", 400, "unreadable body"},
		{"no deflate", "\xff\xff\xff", "deflate", 400, "unreadable body"},
		{"half of a gzip", zipped("hello")[:20], "gzip", 400, "unreadable body"},
	} {
		t.Run(row.name, func(t *testing.T) {
			resp := requestOf(t, s, "192.0.2.1", "POST", "/echo/x", row.body, "Content-Encoding", row.coding, "Accept-Encoding", "gzip")
			assert.Equal(t, row.status, resp.StatusCode)
			assert.Equal(t, row.want, text(t, resp))
			assert.Empty(t, resp.Header.Get("Content-Encoding"), "answers to senders are not compressed")
			assert.Zero(t, budget.Used())
		})
	}
	budget.Add(budget.Limit())
	resp := requestOf(t, s, "192.0.2.1", "POST", "/echo/x", "hello")
	assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	assert.Equal(t, "30", resp.Header.Get("Retry-After"))
}

// The access log names the door, the sender and the outcome. It has the pattern and not the path,
// which may contain a token.
func TestTheAccessLog(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	s := httpserver.New(&devices{}, httpserver.Options{Routes: []httpserver.Route{echo}, Logger: zap.New(core)})
	requestOf(t, s, "192.0.2.1", "POST", "/echo/APA91bToken", "payload", "Authorization", "key=AIzaKey")
	lines := logs.FilterMessage("call").All()
	require.Len(t, lines, 1)
	fields := lines[0].ContextMap()
	assert.Equal(t, "echo", fields["door"])
	assert.Equal(t, "126200347933", fields["sender"])
	assert.Equal(t, "fine", fields["outcome"])
	assert.Equal(t, "POST /echo/{token}", fields["path"])
	for key, value := range fields {
		for _, secret := range []string{"APA91bToken", "AIzaKey", "payload"} {
			assert.NotContains(t, fmt.Sprint(value), secret, key)
		}
	}
}

func TestRetryAfterIsInWholeSeconds(t *testing.T) {
	s := httpserver.New(&devices{}, httpserver.Options{Routes: []httpserver.Route{{Pattern: "GET /later", Call: func(*http.Request) httpserver.Answer {
		a := httpserver.TryLater()
		a.RetryAfter = 1100 * time.Millisecond
		a.Header = http.Header{"Www-Authenticate": {"Bearer"}}
		return a
	}}}})
	resp := requestOf(t, s, "192.0.2.1", "GET", "/later", "")
	assert.Equal(t, "2", resp.Header.Get("Retry-After"))
	assert.Equal(t, "Bearer", resp.Header.Get("WWW-Authenticate"))
}

func TestDrainingEndsConnectionsAndAnswersRequests(t *testing.T) {
	s := httpserver.New(&devices{}, httpserver.Options{Routes: []httpserver.Route{echo}})
	assert.Empty(t, requestOf(t, s, "192.0.2.1", "POST", "/echo/x", "hello").Header.Get("Connection"))
	s.Drain()
	resp := requestOf(t, s, "192.0.2.1", "POST", "/echo/x", "hello")
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Equal(t, "close", resp.Header.Get("Connection"))
}
