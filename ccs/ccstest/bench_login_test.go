package ccstest_test

import (
	"testing"
)

// BenchmarkLogin measures what a login costs the server, from the TCP connection to the answer, TLS with a full
// handshake included: of an app server (SASL, bind), and of a device.
func BenchmarkLogin(b *testing.B) {
	for _, c := range []struct {
		name  string
		login func(b *testing.B, l *load, bed *bed) *endpoint
	}{
		{"AppServer", func(b *testing.B, l *load, bed *bed) *endpoint {
			return &l.appServer(b, bed, bed.card.SenderID, bed.card.APIKey).endpoint
		}},
		{"Device", func(b *testing.B, l *load, bed *bed) *endpoint { return &l.device(b, bed, bed.devices[0]).endpoint }},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := &shape{senders: 1, devices: 1, window: 1}
			bed := s.makeBed(b)
			l := &load{shape: s}
			profiled := bed.profile(b, "login"+c.name)
			before := bed.cpu(b)
			for b.Loop() {
				c.login(b, l, bed).nc.NetConn().Close()
			}
			profiled()
			b.ReportMetric(float64((bed.cpu(b)-before).Microseconds())/float64(b.N), "server-µs/login")
		})
	}
}
