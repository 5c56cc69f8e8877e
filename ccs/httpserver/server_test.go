package httpserver_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/store"
)

const (
	knownID    = 4611686018427387905
	knownToken = 1234567890123456789
	login      = "AidLogin 4611686018427387905:1234567890123456789"
)

// devices knows one device, and records its calls.
type devices struct {
	registered   []store.Registration
	unregistered []store.Registration
	networks     []netip.Prefix // that registrations came from
	topics       []string       // calls of SubscribeDevice
	err          error          // of everything, if not nil
	topicErr     error          // of SubscribeDevice
}

func (d *devices) CheckIn(_ context.Context, id, token uint64) (uint64, uint64, error) {
	if id == 0 && token == 0 {
		return knownID, knownToken, d.err
	}
	return id, token, d.Authenticate(context.Background(), id, token)
}

func (d *devices) Authenticate(_ context.Context, id, token uint64) error {
	if id != knownID || token != knownToken {
		return ccs.ErrUnknownDevice
	}
	return d.err
}

func (d *devices) RegisterFrom(_ context.Context, r store.Registration, network netip.Prefix) (*store.Registration, error) {
	d.networks = append(d.networks, network)
	if strings.HasPrefix(r.Senders[0], "nobody") {
		return nil, ccs.ErrInvalidSender
	}
	d.registered = append(d.registered, r)
	r.Token = "APA91bToken"
	return &r, d.err
}

func (d *devices) Unregister(_ context.Context, r store.Registration) error {
	d.unregistered = append(d.unregistered, r)
	return d.err
}

func (d *devices) SubscribeDevice(_ context.Context, device ccs.DeviceID, app, subscriber, topic string, leave bool) (string, error) {
	if device != knownID {
		return "", ccs.ErrNotMember
	}
	d.topics = append(d.topics, fmt.Sprint(app, " ", subscriber, " ", topic, " ", leave))
	return subscriber, d.topicErr
}

// request makes one call; headers alternates keys and values.
func request(t *testing.T, d httpserver.Devices, method, path, body string, headers ...string) *http.Response {
	t.Helper()
	return requestOf(t, httpserver.New(d, httpserver.Options{}), "192.0.2.1", method, path, body, headers...)
}

// requestOf is request from an address to a server.
func requestOf(t *testing.T, s *httpserver.Server, from, method, path, body string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	r.RemoteAddr = net.JoinHostPort(from, "1234")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(b)
}

func zipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, s)
	_ = z.Close()
	return b.String()
}

func unzipped(t *testing.T, s string) string {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(s))
	require.NoError(t, err)
	b, err := io.ReadAll(z)
	require.NoError(t, err)
	return string(b)
}

func TestEveryOtherCallIsRefused(t *testing.T) {
	rows := []struct {
		name, method, path string
		status             int
		allow              string
	}{
		{"a check-in by GET", "GET", "/checkin", 405, "POST"},
		{"a registration by PUT", "PUT", "/c2dm/register3", 405, "POST"},
		{"a health check by POST", "POST", "/healthz", 405, "GET, HEAD"},
		{"an unknown path", "POST", "/c2dm/register4", 404, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			resp := request(t, &devices{}, row.method, row.path, "")
			assert.Equal(t, row.status, resp.StatusCode)
			assert.Equal(t, row.allow, resp.Header.Get("Allow"))
			assert.Contains(t, resp.Header.Get("Content-Type"), "text/plain")
		})
	}
}

func TestHealthIsAnsweredForAnyHost(t *testing.T) {
	for _, host := range []string{"http://android.clients.google.com", "http://localhost:1", "http://[::1]"} {
		resp := request(t, &devices{}, "GET", host+"/healthz", "")
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.Equal(t, "ok", text(t, resp))
	}
}

func TestGzipGoesByTheHeader(t *testing.T) {
	rows := []struct {
		accept string
		zip    bool
	}{
		{"", false},
		{"identity", false},
		{"*", false},
		{"gzip", true},
		{"GZIP", true},
		{"gzip, deflate, br, zstd", true},
		{"deflate;q=1, gzip;q=0.5", true},
		{"gzip;q=0", false},
		{"gzip; q=0.000", false},
	}
	for _, row := range rows {
		resp := request(t, &devices{}, "GET", "/healthz", "", "Accept-Encoding", row.accept)
		body := text(t, resp)
		if row.zip {
			assert.Equal(t, "gzip", resp.Header.Get("Content-Encoding"), row.accept)
			body = unzipped(t, body)
		} else {
			assert.Empty(t, resp.Header.Get("Content-Encoding"), row.accept)
		}
		assert.Equal(t, "ok", body, row.accept)
	}
}

func TestServeEndsWithShutdown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := httpserver.New(&devices{}, httpserver.Options{})
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	resp, err := http.Get("http://" + l.Addr().String() + "/healthz")
	require.NoError(t, err)
	assert.Equal(t, "ok", text(t, resp))
	require.NoError(t, resp.Body.Close())
	require.NoError(t, s.Shutdown(t.Context()))
	assert.Equal(t, http.ErrServerClosed, <-ended)
}

func TestLogsNameNoSecrets(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	for _, d := range []*devices{{}, {err: errors.New("disk full")}} {
		h := httpserver.New(d, httpserver.Options{Logger: zap.New(core)}).Handler()
		r := httptest.NewRequest("POST", "/c2dm/register3", strings.NewReader("app=x&device=4611686018427387905&sender=1"))
		r.Header.Set("Authorization", login)
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	require.Equal(t, 1, logs.FilterMessage("call failed").Len(), "our own failure is logged as one")
	require.Equal(t, 2, logs.FilterMessage("call").Len())
	for _, entry := range logs.All() {
		for key, value := range entry.ContextMap() {
			if s, ok := value.(string); ok {
				assert.NotContains(t, s, "1234567890123456789", key)
				assert.NotContains(t, s, "APA91bToken", key)
			}
		}
	}
	assert.Equal(t, fmt.Sprint(uint64(knownID)), logs.FilterMessage("call").All()[0].ContextMap()["device"])
}
