package redisstore_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy is between a client and Redis. It can cut a connection after a request, whose reply is then
// lost.
type proxy struct {
	addr string

	mu   sync.Mutex
	text []byte // the request to wait for
	left int    // how often it still cuts
}

func startProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{addr: l.Addr().String()}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { p.serve(client, target) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		conns.Wait()
	})
	return p
}

// cut cuts the next n connections that carry a text, after Redis has executed it.
func (p *proxy) cut(text string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text, p.left = []byte(text), n
}

func (p *proxy) cuts(request []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left == 0 || !bytes.Contains(request, p.text) {
		return false
	}
	p.left--
	return true
}

func (p *proxy) serve(client net.Conn, target string) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	doomed := make(chan struct{})
	var back sync.WaitGroup
	defer back.Wait()
	back.Go(func() {
		defer client.Close()
		reply := make([]byte, 1<<16)
		for {
			n, err := server.Read(reply)
			if err != nil {
				return
			}
			select {
			case <-doomed: // the reply shows that it was executed
				return
			default:
			}
			if _, err := client.Write(reply[:n]); err != nil {
				return
			}
		}
	})
	request := make([]byte, 1<<16)
	for {
		n, err := client.Read(request)
		if err != nil {
			server.(*net.TCPConn).CloseWrite()
			return
		}
		if p.cuts(request[:n]) {
			close(doomed)
		}
		if _, err := server.Write(request[:n]); err != nil && err != io.EOF {
			return
		}
	}
}
