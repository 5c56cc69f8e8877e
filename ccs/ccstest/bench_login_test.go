package ccstest_test

import (
	"crypto/tls"
	"testing"
)

// BenchmarkLogin measures the cost of a login for the server, from the TCP connection to the
// answer, with a full TLS handshake. It measures the login of an app server (SASL, bind) and that
// of a device. Go's own client also agrees on keys with ML-KEM. The existing clients of this
// protocol only know X25519.
func BenchmarkLogin(b *testing.B) {
	appServer := func(l *load, bed *bed) *endpoint {
		return &l.appServer(b, bed, bed.card.SenderID, bed.card.APIKey).endpoint
	}
	device := func(l *load, bed *bed) *endpoint { return &l.device(b, bed, bed.devices[0]).endpoint }
	x25519 := []tls.CurveID{tls.X25519}
	for _, c := range []struct {
		name   string
		login  func(l *load, bed *bed) *endpoint
		curves []tls.CurveID
	}{
		{"AppServer", appServer, nil},
		{"AppServerX25519", appServer, x25519},
		{"Device", device, nil},
		{"DeviceX25519", device, x25519},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := &shape{senders: 1, devices: 1, window: 1}
			bed := s.makeBed(b)
			bed.trust.CurvePreferences = c.curves
			l := &load{shape: s}
			profiled := bed.profile(b, "login"+c.name)
			before := bed.cpu(b)
			for b.Loop() {
				c.login(l, bed).nc.NetConn().Close()
			}
			used := bed.cpu(b) - before
			profiled()
			b.ReportMetric(float64(used.Microseconds())/float64(b.N), "server-µs/login")
		})
	}
}
