package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/ccs/server"
)

// behind dials as a balancer does for a client with an address.
func behind(addr string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, to string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, to)
		if err != nil {
			return nil, err
		}
		_, err = proxyproto.HeaderProxyFromAddrs(2, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr)), nc.RemoteAddr()).WriteTo(nc)
		return nc, err
	}
}

// Every listener uses the address in a balancer's header, for its counts and its log.
func TestBehindABalancerTheClientsAddressCounts(t *testing.T) {
	t.Parallel()
	const here, there = "198.51.100.1:7", "198.51.100.2:7"
	core, logs := observer.New(zap.InfoLevel)
	c := config(t)
	c.Store, c.Logger = "memory:", zap.New(core)
	c.ProxyProtocol, c.MaxConnsPerAddress, c.HTTPRate = []string{"127.0.0.0/8"}, "2:10", 2
	s := start(t, c)
	pem, err := os.ReadFile(s.CAFile())
	require.NoError(t, err)
	trust := &tls.Config{RootCAs: x509.NewCertPool()}
	require.True(t, trust.RootCAs.AppendCertsFromPEM(pem))
	card, ctx := s.Card(), t.Context()

	client := func(addr string) *http.Client {
		return &http.Client{Transport: &http.Transport{TLSClientConfig: trust, DialContext: behind(addr), DisableKeepAlives: true}}
	}
	id, err := mcsclient.CheckIn(ctx, client(here), s.HTTPURL(), mcsclient.Identity{})
	require.NoError(t, err)
	token, err := mcsclient.Register(ctx, client(here), s.HTTPURL(), id, mcsclient.Registration{App: "a", Senders: []string{card.SenderID}})
	require.NoError(t, err)
	_, err = mcsclient.CheckIn(ctx, client(here), s.HTTPURL(), mcsclient.Identity{})
	assert.Error(t, err, "the address has called twice in a minute")
	_, err = mcsclient.CheckIn(ctx, client(there), s.HTTPURL(), mcsclient.Identity{})
	assert.NoError(t, err)

	login := func(addr string) (*ccsclient.Client, error) {
		return ccsclient.Dial(ctx, s.XMPPAddr(), card.SenderID, card.APIKey, ccsclient.Options{TLS: trust, Dial: behind(addr)})
	}
	one, err := login(here)
	require.NoError(t, err)
	defer one.Close()
	two, err := login(here)
	require.NoError(t, err)
	_, err = login(here)
	var refused *ccsclient.AuthError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, "temporary-auth-failure", refused.Condition)
	other, err := login(there)
	require.NoError(t, err)
	defer other.Close()

	device := func(addr string) error {
		d, err := mcsclient.Dial(ctx, s.MCSAddr(), id, mcsclient.Options{TLS: trust, DialContext: behind(addr)})
		if err == nil {
			t.Cleanup(func() { d.Close() })
		}
		return err
	}
	err = device(here)
	require.Error(t, err)
	var wrong *mcsclient.LoginError
	assert.False(t, errors.As(err, &wrong), "the device's credential is not what is wrong")
	require.NoError(t, two.Close())
	require.NoError(t, device(there))

	_, err = one.SendWait(ctx, &ccsclient.Message{To: token, MessageID: "1", TTL: time.Minute, Data: map[string]string{"k": "v"}})
	require.NoError(t, err)
	peers := map[string]int{}
	for _, line := range logs.FilterMessage("session open").All() {
		peers[line.ContextMap()["remote_addr"].(string)]++
	}
	assert.Equal(t, map[string]int{here: 2, there: 2}, peers)

	// A connection from a proxy without a header is refused.
	_, err = ccsclient.Dial(ctx, s.XMPPAddr(), card.SenderID, card.APIKey, ccsclient.Options{TLS: trust})
	assert.Error(t, err)
}

func TestTheLogSaysHowManyConnectionsThereIsRoomFor(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.InfoLevel)
	c := config(t)
	c.Store, c.Logger, c.MaxConns = "memory:", zap.New(core), 123
	start(t, c)
	lines := logs.FilterMessage("connections are limited").All()
	require.Len(t, lines, 1)
	assert.Equal(t, int64(123), lines[0].ContextMap()["connections"])
	assert.Equal(t, int64(30), lines[0].ContextMap()["per_address_pending"])
}

func TestMaxConnsFitsTheOpenFiles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		limit, conns int
		store        string
		want         string // "" for no error
	}{
		{200, 0, "disk:", ""}, {200, 54, "disk:", ""}, {0, 1_000_000, "disk:", ""}, {1 << 20, 1_000_000, "disk:", ""},
		{200, 55, "disk:", "or use at most 54"}, {150, 0, "disk:", "raise the limit to 162"}, {64, 0, "memory:", ""},
		{400, 100, "redis-cluster://h", "raise the limit to 404"}, {400, 300, "redis://h", ""},
	} {
		c := server.Default()
		c.Store, c.MaxConns = tt.store, tt.conns
		err := server.CheckConns(&c, tt.limit)
		if tt.want == "" {
			assert.NoError(t, err, "%+v", tt)
			continue
		}
		require.Error(t, err, "%+v", tt)
		assert.True(t, strings.Contains(err.Error(), tt.want), "%+v: %v", tt, err)
	}
}

// Connections that never log in count together on all listeners, and do not affect other addresses.
func TestSilentConnectionsOfAnAddressAreFew(t *testing.T) {
	t.Parallel()
	const limit = 20
	c := config(t)
	c.Store = "memory:"
	c.ProxyProtocol, c.MaxConnsPerAddress = []string{"127.0.0.0/8"}, "1000:20"
	s := start(t, c)
	addrs := []string{s.XMPPAddr(), s.MCSAddr(), strings.TrimPrefix(s.HTTPURL(), "https://")}
	for _, from := range []string{"198.51.100.1:7", "198.51.100.2:7"} { // each has its own limit
		const tries = 3 * limit
		closed := make(chan struct{}, tries)
		for i := range tries {
			nc, err := behind(from)(t.Context(), "tcp", addrs[i%len(addrs)])
			require.NoError(t, err)
			defer nc.Close()
			go func() {
				nc.Read(make([]byte, 1))
				closed <- struct{}{}
			}()
		}
		for range tries - limit {
			<-closed
		}
		assert.Empty(t, closed, "the others stay")
	}
}
