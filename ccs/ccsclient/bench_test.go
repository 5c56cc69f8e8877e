package ccsclient_test

import (
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/stanza"
)

// BenchmarkSend sends to a server on the loopback that acknowledges every message. It shows the
// most that a client can do on this machine, which the server shares.
func BenchmarkSend(b *testing.B) {
	certificate, roots := certificate(b)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer listener.Close()
	go func() {
		raw, err := listener.Accept()
		if err != nil {
			return
		}
		defer raw.Close()
		defer func() { _ = recover() }() // the end of the connection
		conn := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{certificate}})
		p := &peer{conn: conn, in: stanza.NewReader(conn, stanza.AfterBind)}
		p.login()
		acknowledge(p)
	}()
	o := ccsclient.Options{TLS: &tls.Config{RootCAs: roots, ServerName: "gcm.googleapis.com"}}
	c, err := ccsclient.Dial(context.Background(), listener.Addr().String(), "123", "KEY", o)
	require.NoError(b, err)
	defer c.Close()

	var answers sync.WaitGroup
	done := func(ccsclient.Reply) { answers.Done() }
	m := ccsclient.Message{To: strings.Repeat("APA91bH_x-", 14), TTL: stanza.MaxTTL, Object: stanza.Object(`{"k":"` + strings.Repeat("v", 60) + `"}`)}
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		m.MessageID = strconv.Itoa(n)
		answers.Add(1)
		if err := c.Send(context.Background(), &m, done); err != nil {
			b.Fatal(err)
		}
	}
	answers.Wait()
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "msg/s")
}

// acknowledge answers messages until the connection ends. It answers all that arrived at once in
// one write.
func acknowledge(p *peer) {
	var e stanza.Element
	var in stanza.Inbound
	var out []byte
	for p.in.Next(&e) == nil {
		if stanza.DecodeInbound(e.Payload, nil, &in) != nil {
			return
		}
		out = stanza.AppendAck(out, in.Downstream.To, in.Downstream.MessageID, "")
		if p.in.Ready() && len(out) < 16<<10 {
			continue
		}
		if _, err := p.conn.Write(out); err != nil {
			return
		}
		out = out[:0]
	}
}
