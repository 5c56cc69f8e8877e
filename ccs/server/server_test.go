package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/ccs/card"
	"github.com/openccs/openccs/ccs/mcs"
	"github.com/openccs/openccs/ccs/server"
	"github.com/openccs/openccs/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config(t *testing.T) server.Config {
	c := server.Default()
	c.DataDir = t.TempDir()
	c.XMPPListen, c.MCSListen, c.HTTPListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	return c
}

func start(t *testing.T, c server.Config) *server.Server {
	t.Helper()
	s, err := server.Start(context.Background(), c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Shutdown(context.Background())) })
	return s
}

// flags returns the flags that an error names.
func flags(err error) (names []string) {
	var joined interface{ Unwrap() []error }
	var one *server.ConfigError
	switch {
	case errors.As(err, &joined):
		for _, e := range joined.Unwrap() {
			names = append(names, flags(e)...)
		}
	case errors.As(err, &one):
		names = append(names, one.Flag)
	}
	return names
}

func TestConfigReportsEveryMistakeAtOnce(t *testing.T) {
	t.Parallel()
	c := server.Config{Store: "tape:", XMPPListen: "5235", XMPPTestListen: "x:y", MCSListen: ":70000", Domain: "a b", TLSCert: "/nowhere",
		Window: -1, UpstreamWindow: -1, DeviceBacklog: -1, SenderBacklog: -1}
	err := c.Validate()
	assert.Equal(t, []string{"data", "store", "node-heartbeat", "xmpp-listen", "xmpp-test-listen", "mcs-listen", "http-listen", "domain", "device-domain", "tls-cert",
		"tls-cert", "window", "upstream-window", "device-backlog", "sender-backlog", "window-overrun", "drain-timeout"}, flags(err))
	assert.ErrorContains(t, err, `--xmpp-listen "5235": missing port in address; write host:port, such as 127.0.0.1:5235, or :0 for any free port`)
	good := server.Default()
	assert.NoError(t, good.Validate())
	for _, domain := range []string{good.Domain, "FCM.googleapis.com"} {
		shared := server.Default()
		shared.DeviceDomain = domain
		assert.Equal(t, []string{"device-domain"}, flags(shared.Validate()), "who logs in is told apart by the domain")
	}
	good.Heartbeat, good.UpstreamRate = 20*time.Second, 1000
	good.CheckinSettings = []string{
		"gcm_hostname=push.example.org", "gcm_secure_port=5228", "checkin_interval=43200",
		"gcm_registration_url=https://push.example.org/c2dm/register3", "anything=a=b",
	}
	assert.NoError(t, good.Validate())
	for name, change := range map[string]func(c *server.Config){
		"upstream-rate":         func(c *server.Config) { c.UpstreamRate = -1 },
		"http-rate":             func(c *server.Config) { c.HTTPRate = 60_000_001 },
		"chrome-success-status": func(c *server.Config) { c.ChromeSuccessStatus = 302 },
		"chrome-auth-status":    func(c *server.Config) { c.ChromeAuthStatus = 400 },

		"heartbeat":     func(c *server.Config) { c.Heartbeat = time.Second },
		"mcs-keepalive": func(c *server.Config) { c.MCSKeepAlive = 3 * time.Hour },

		"max-conns":               func(c *server.Config) { c.MaxConns = -1 },
		"max-conns-per-address":   func(c *server.Config) { c.MaxConnsPerAddress = "many" },
		"trusted-networks":        func(c *server.Config) { c.TrustedNetworks = []string{"10.0.0.0/8", "10.0.0.0/33"} },
		"new-devices-per-address": func(c *server.Config) { c.NewDevices = -1 },
		"proxy-protocol":          func(c *server.Config) { c.ProxyProtocol = []string{"balancer"} },
	} {
		c := good
		change(&c)
		assert.Equal(t, []string{name}, flags(c.Validate()))
	}
	for _, setting := range []string{
		"no value", "=value", "gcm_hostname=", "gcm_hostname=https://push.example.org", "gcm_secure_port=99999",
		"checkin_interval=soon", "checkin_url=push.example.org", "k=\x00",
	} {
		c := good
		c.CheckinSettings = []string{setting}
		assert.Equal(t, []string{"checkin-settings"}, flags(c.Validate()), setting)
	}
}

func TestStartSaysWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer busy.Close()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, row := range []struct {
		name   string
		change func(*server.Config)
		want   []string
	}{
		{"a busy port", func(c *server.Config) { c.MCSListen = busy.Addr().String() }, []string{`--mcs-listen "` + busy.Addr().String() + `": the port is in use`}},
		{"two busy ports", func(c *server.Config) { c.MCSListen, c.HTTPListen = busy.Addr().String(), busy.Addr().String() }, []string{"--mcs-listen", "--http-listen"}},
		{"a data directory that is a file", func(c *server.Config) { c.DataDir = file }, []string{"--data", "not a directory"}},
		{"a certificate that is none", func(c *server.Config) { c.TLSCert, c.TLSKey = file, file }, []string{"--tls-cert", "PEM"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := config(t)
			row.change(&c)
			_, err := server.Start(context.Background(), c)
			for _, w := range row.want {
				assert.ErrorContains(t, err, w)
			}
			// A failed start leaves nothing that prevents the next one.
			row := config(t)
			row.DataDir = c.DataDir
			if c.DataDir != file {
				start(t, row)
			}
		})
	}
}

func TestASecondServerOnTheDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"disk:", "memory:"} {
		c := config(t)
		c.Store = kind
		start(t, c)
		_, err := server.Start(context.Background(), c)
		assert.ErrorContains(t, err, c.DataDir, kind)
		assert.True(t, errors.Is(err, store.ErrLocked) || errors.Is(err, admin.ErrInUse), "%v", err)
	}
}

func TestLaterStartsReuseEverything(t *testing.T) {
	t.Parallel()
	c := config(t)
	first := start(t, c)
	ca, err := os.ReadFile(first.CAFile())
	require.NoError(t, err)
	require.Regexp(t, `^[1-9][0-9]{11}$`, first.Card().SenderID)
	require.NoError(t, first.Shutdown(context.Background()))
	second := start(t, c)
	assert.Equal(t, first.Card().SenderID, second.Card().SenderID)
	assert.Equal(t, first.Card().APIKey, second.Card().APIKey)
	again, err := os.ReadFile(second.CAFile())
	require.NoError(t, err)
	assert.Equal(t, ca, again)
	written, err := card.Read(c.DataDir)
	require.NoError(t, err)
	assert.Equal(t, second.XMPPAddr(), written.XMPP)
}

func TestProjectsWhileTheServerRuns(t *testing.T) {
	t.Parallel()
	c := config(t)
	s := start(t, c)
	client, err := admin.Dial(c.DataDir)
	require.NoError(t, err)
	defer client.Close()
	made, err := client.Create(t.Context(), "shop", "")
	require.NoError(t, err)
	all, err := client.List(t.Context())
	require.NoError(t, err)
	assert.Len(t, all, 2)
	require.NoError(t, client.Delete(t.Context(), made.SenderID))
	require.NoError(t, s.Shutdown(context.Background()))
	_, err = admin.Dial(c.DataDir)
	assert.ErrorIs(t, err, admin.ErrNoServer)
}

func TestPlainHTTPAndTheTestPort(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.XMPPTestListen, c.HTTPPlain = "127.0.0.1:0", "127.0.0.1:0"
	s := start(t, c)
	conn, err := net.DialTimeout("tcp", s.XMPPTestAddr(), time.Second)
	require.NoError(t, err)
	conn.Close()
}

func TestProfilesAreOnTheControlSocketAlone(t *testing.T) {
	c := config(t)
	s := start(t, c)
	get := func(hc *http.Client, url string) int {
		defer hc.CloseIdleConnections()
		resp, err := hc.Get(url + "/debug/pprof/allocs")
		require.NoError(t, err)
		resp.Body.Close()
		return resp.StatusCode
	}
	assert.Equal(t, http.StatusOK, get(&http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return net.Dial("unix", filepath.Join(c.DataDir, "control.sock"))
		},
	}}, "http://ccs"))
	assert.Equal(t, http.StatusNotFound, get(&http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}, s.HTTPURL()))
}

func TestWaitEndsWithTheServer(t *testing.T) {
	t.Parallel()
	s := start(t, config(t))
	done := make(chan error, 1)
	go func() { done <- s.Wait() }()
	require.NoError(t, s.Shutdown(context.Background()))
	select {
	case err := <-done:
		assert.NoError(t, err)
	case <-time.After(10 * time.Second):
		t.Fatal("Wait did not return")
	}
}

// Devices get the operator's settings (DEV 2.5).
func TestCheckinSettings(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.CheckinSettings = []string{"gcm_hostname=push.example.org"}
	s := start(t, c)
	pem, err := os.ReadFile(s.CAFile())
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(pem))
	hc := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	resp, err := hc.Post(s.HTTPURL()+"/checkin", "application/x-protobuf", bytes.NewReader((&mcs.CheckinRequest{}).Append(nil)))
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	var got mcs.CheckinResponse
	require.NoError(t, got.Unmarshal(body))
	assert.Equal(t, []mcs.Setting{{Name: "gcm_hostname", Value: "push.example.org"}}, got.Settings)
}
