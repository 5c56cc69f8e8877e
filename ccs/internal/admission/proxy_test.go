package admission_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs/devcert"
	"github.com/openccs/openccs/ccs/internal/admission"
	"github.com/openccs/openccs/ccs/internal/eagerconn"
	"github.com/openccs/openccs/flowcontrol"
)

// header returns a PROXY header for a connection from an address.
func header(t *testing.T, addr string, change ...func(*proxyproto.Header)) []byte {
	t.Helper()
	source := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))
	h := proxyproto.HeaderProxyFromAddrs(2, source, &net.TCPAddr{IP: source.IP, Port: 5228})
	for _, f := range change {
		f(h)
	}
	b, err := h.Format()
	require.NoError(t, err)
	return b
}

func behindProxies() admission.Options {
	return admission.Options{MaxConns: 100, PendingPerAddress: 2, Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
}

func TestTheAddressInAHeaderCounts(t *testing.T) {
	t.Parallel()
	b := newBed(t, behindProxies())
	connect := func(addr string) net.Conn {
		far := b.arrive("10.0.0.1:7")
		refused := make(chan struct{})
		go func() {
			far.Write(header(t, addr))
			far.Read(make([]byte, 1))
			close(refused)
		}()
		select {
		case c := <-b.conns:
			assert.Equal(t, addr, c.RemoteAddr().String())
			return c
		case <-refused:
			return nil
		}
	}
	for range 2 {
		assert.NotNil(t, connect("198.51.100.1:77"))
		assert.NotNil(t, connect("[2001:db8::1]:77"))
	}
	assert.Nil(t, connect("198.51.100.1:77"))
	assert.Nil(t, connect("[2001:db8::2]:77"))
	for range 5 {
		assert.NotNil(t, connect("127.0.0.1:77"), "loopback is exempt here too")
	}
}

func TestABalancersOwnConnectionHasTheBalancersAddress(t *testing.T) {
	t.Parallel()
	b := newBed(t, behindProxies())
	far := b.arrive("10.0.0.1:7")
	far.Write(header(t, "198.51.100.1:77", func(h *proxyproto.Header) { h.Command = proxyproto.LOCAL }))
	assert.Equal(t, "10.0.0.1:7", (<-b.conns).RemoteAddr().String())
}

// A header from an address that is no proxy is ordinary data.
func TestTheHeaderOfAnybodyElseIsData(t *testing.T) {
	t.Parallel()
	b := newBed(t, behindProxies())
	sent := header(t, "127.0.0.1:77")
	far := b.arrive("198.51.100.9:7")
	go far.Write(sent)
	c := <-b.conns
	assert.Equal(t, "198.51.100.9:7", c.RemoteAddr().String())
	got := make([]byte, len(sent))
	_, err := io.ReadFull(c, got)
	require.NoError(t, err)
	assert.Equal(t, sent, got)
}

func TestAHeaderThatIsWrongEndsTheConnection(t *testing.T) {
	t.Parallel()
	b := newBed(t, behindProxies())
	ok := header(t, "198.51.100.1:77")
	version1 := "PROXY TCP4 198.51.100.1 192.0.2.1 77 5228\r\n"
	tooLong := append([]byte{}, ok...)
	tooLong[14], tooLong[15] = 0xff, 0xff
	udp := header(t, "198.51.100.1:77")
	udp[13] = 0x12
	for name, sent := range map[string][]byte{
		"no header": []byte(strings.Repeat("\x16\x03\x01", 20)), "version 1": []byte(version1), "too long": tooLong, "UDP": udp,
	} {
		far := b.arrive("10.0.0.1:7")
		go far.Write(sent)
		_, err := far.Read(make([]byte, 1))
		assert.Error(t, err, name)
	}
}

func TestAHeaderThatDoesNotEndHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, behindProxies())
		slow := b.arrive("10.0.0.1:7")
		slow.Write(header(t, "198.51.100.1:77")[:20])
		quick := b.arrive("10.0.0.1:8")
		quick.Write(header(t, "198.51.100.2:77"))
		assert.Equal(t, "198.51.100.2:77", (<-b.conns).RemoteAddr().String())
		start := time.Now()
		_, err := slow.Read(make([]byte, 1))
		assert.Error(t, err)
		assert.Equal(t, 5*time.Second, time.Since(start))

		ended := b.arrive("10.0.0.1:9")
		require.NoError(t, b.l.Close())
		_, err = ended.Read(make([]byte, 1))
		assert.Error(t, err, "the end of the listener is not delayed either")
	})
}

// After a wrong configuration of a balancer the log has the reason, once a minute and not for every
// connection.
func TestAConnectionWithoutAHeaderIsLoggedAtAModestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const line = "connection refused: no valid PROXY header"
		b := newBed(t, behindProxies())
		refuse := func(sent string) {
			far := b.arrive("10.0.0.1:7")
			go far.Write([]byte(sent))
			_, err := far.Read(make([]byte, 1))
			require.Error(t, err)
			synctest.Wait()
		}
		probe := b.arrive("10.0.0.1:7") // balancers probe a server this way
		synctest.Wait()                 // a pipe that is closed early takes no deadline
		probe.Close()
		synctest.Wait()
		assert.Zero(t, b.lines(line))
		for range 100 {
			refuse("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		}
		require.Equal(t, 1, b.lines(line))
		first := b.logs.FilterMessage(line).All()[0]
		assert.Equal(t, zap.WarnLevel, first.Level)
		assert.Equal(t, map[string]any{
			"remote_addr": "10.0.0.1:7", "reason": "the connection does not begin with a header of PROXY version 2", "hidden": int64(0),
		}, first.ContextMap())
		time.Sleep(time.Minute)
		b.arrive("10.0.0.1:7") // and sends nothing
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Equal(t, 2, b.lines(line))
		assert.Equal(t, int64(99), b.logs.FilterMessage(line).All()[1].ContextMap()["hidden"])
		b.arrive("10.0.0.1:7")
		time.Sleep(time.Minute)
		b.arrive("10.0.0.1:7")
		require.NoError(t, b.l.Close())
		synctest.Wait()
		assert.Equal(t, 2, b.lines(line), "the server's own end is no fault")
	})
}

// The header and the following bytes may come in one segment. A bulk read bypasses all wrappers and
// reads from the socket.
func TestABulkReadsAllRecordsBehindAHeader(t *testing.T) {
	t.Parallel()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g := admission.New(admission.Options{Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	l := g.Listener(tcp)
	defer l.Close()
	pair, err := devcert.New([]string{"localhost"}, time.Now())
	require.NoError(t, err)

	const records = 300
	sent, hold := make(chan error, 1), make(chan struct{})
	defer close(hold)
	go func() {
		sent <- func() error {
			nc, err := net.Dial("tcp", tcp.Addr().String())
			if err != nil {
				return err
			}
			defer func() { <-hold; nc.Close() }()
			w := &gathering{Conn: nc, b: header(t, "198.51.100.1:77")}
			client := tls.Client(w, &tls.Config{InsecureSkipVerify: true})
			if err := client.Handshake(); err != nil {
				return err
			}
			w.gather = true
			for range records {
				if _, err := client.Write([]byte("ack")); err != nil {
					return err
				}
			}
			w.gather = false
			_, err = w.Write(nil)
			sent <- err
			return nil
		}()
	}()
	c, err := l.Accept()
	require.NoError(t, err)
	defer c.Close()
	assert.Equal(t, "198.51.100.1:77", c.RemoteAddr().String())
	bulk := eagerconn.New(c)
	server := tls.Server(bulk, &tls.Config{Certificates: []tls.Certificate{pair.Cert}})
	require.NoError(t, server.Handshake())
	require.NoError(t, <-sent)
	bulk.Eager(func() eagerconn.Turn { return new(flowcontrol.Turn[int]) })
	waits, b := 0, make([]byte, 100)
	for got := 0; got < records*len("ack"); {
		n, err := server.Read(b)
		if eagerconn.WouldWait(err) {
			waits++
			bulk.Wait()
			continue
		}
		require.NoError(t, err)
		got += n
	}
	assert.LessOrEqual(t, waits, 2, "300 records came in one piece, perhaps two")
}

// gathering is a connection that keeps written bytes while gather is set.
type gathering struct {
	net.Conn
	b      []byte
	gather bool
}

func (g *gathering) Write(p []byte) (int, error) {
	g.b = append(g.b, p...)
	if g.gather {
		return len(p), nil
	}
	_, err := g.Conn.Write(g.b)
	g.b = nil
	return len(p), err
}
