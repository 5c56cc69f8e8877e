package admission_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/internal/admission"
)

func TestAllConnectionsTogetherHaveALimit(t *testing.T) {
	t.Parallel()
	b := newBed(t, admission.Options{MaxConns: 40, PendingPerAddress: 10})
	var open []net.Conn
	for i := range 40 {
		c := b.connect(fmt.Sprintf("198.51.100.%d:1", i))
		require.NotNil(t, c)
		open = append(open, c)
	}
	for range 5 {
		assert.Nil(t, b.connect("203.0.113.1:1"))
		assert.Nil(t, b.connect("127.0.0.1:1"), "no address is exempt from the limit of open files")
	}
	assert.Equal(t, 1, b.lines("connections refused: too many"))
	open[0].Close()
	open[0].Close() // counts once
	c := b.connect("203.0.113.1:1")
	require.NotNil(t, c)
	assert.Nil(t, b.connect("203.0.113.1:1"))
	assert.Zero(t, b.lines("connections accepted again"), "one place is no room")
	for _, c := range open[:4] {
		c.Close()
	}
	assert.Equal(t, 1, b.lines("connections accepted again"))
	assert.Equal(t, 1, b.lines("connections refused: too many"))
	assert.Equal(t, int64(11), b.logs.FilterMessage("connections accepted again").All()[0].ContextMap()["refused"])
}

func TestAnAddressHasALimitBeforeAndAfterTheLogin(t *testing.T) {
	t.Parallel()
	b := newBed(t, admission.Options{MaxConns: 100, PendingPerAddress: 3, PerAddress: 5})
	const addr = "198.51.100.1:1"
	var in []net.Conn
	for range 5 {
		c := b.connect(addr)
		require.NotNil(t, c)
		require.True(t, admission.LogIn(c))
		require.True(t, admission.LogIn(c), "counts once")
		in = append(in, c)
	}
	var pending []net.Conn
	for range 3 {
		c := b.connect(addr)
		require.NotNil(t, c, "connections that have logged in count apart")
		pending = append(pending, c)
	}
	assert.Nil(t, b.connect(addr))
	assert.False(t, admission.LogIn(pending[0]))
	assert.NotNil(t, b.connect("198.51.100.2:1"), "another address")

	in[0].Close()
	assert.True(t, admission.LogIn(pending[0]))
	assert.NotNil(t, b.connect(addr), "there is room where it was")
	assert.Nil(t, b.connect(addr))
	assert.Nil(t, b.connect(addr))
	assert.Equal(t, 3, b.lines("connections of an address refused: too many"), "a line each time that a limit is reached, not for each connection")
}

func TestAnIPv6AddressCountsByItsNetwork(t *testing.T) {
	t.Parallel()
	b := newBed(t, admission.Options{MaxConns: 100, PendingPerAddress: 2})
	assert.NotNil(t, b.connect("[2001:db8:1:1::1]:1"))
	assert.NotNil(t, b.connect("[2001:db8:1:1:ffff::2]:1"))
	assert.Nil(t, b.connect("[2001:db8:1:1::3]:1"))
	assert.NotNil(t, b.connect("[2001:db8:1:2::1]:1"))
}

func TestLoopbackAndTrustedNetworksHaveNoLimitPerAddress(t *testing.T) {
	t.Parallel()
	b := newBed(t, admission.Options{MaxConns: 100, PendingPerAddress: 1, PerAddress: 1, Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	for _, addr := range []string{"127.0.0.1:1", "[::1]:1", "10.1.2.3:1"} {
		for range 3 {
			c := b.connect(addr)
			require.NotNil(t, c, addr)
			assert.True(t, admission.LogIn(c))
		}
	}
	assert.NotNil(t, b.connect("11.0.0.1:1"))
	assert.Nil(t, b.connect("11.0.0.1:1"))
}

// A peer that connects and sends nothing does not keep others out.
func TestOneAddressNeverTakesAllPlacesWithoutALogin(t *testing.T) {
	t.Parallel()
	b := newBed(t, admission.Options{MaxConns: 8, PendingPerAddress: 1000})
	got := 0
	for range 8 {
		if b.connect("198.51.100.1:1") != nil {
			got++
		}
	}
	assert.Equal(t, 2, got)
	assert.NotNil(t, b.connect("198.51.100.2:1"))
}

func TestManyAddressesAtTheirLimitsWriteFewLines(t *testing.T) {
	t.Parallel()
	b := newBed(t, admission.Options{MaxConns: 1000, PendingPerAddress: 1})
	for i := range 100 {
		addr := fmt.Sprintf("198.51.100.%d:1", i)
		require.NotNil(t, b.connect(addr))
		require.Nil(t, b.connect(addr))
	}
	assert.LessOrEqual(t, b.logs.Len(), 25)
	assert.GreaterOrEqual(t, b.logs.Len(), 20)
}
