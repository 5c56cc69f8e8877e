package ccstest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"openccs/ccs/ccsclient"
	"openccs/ccs/ccstest"
	"openccs/ccs/mcsclient"
	"openccs/stanza"
)

// BenchmarkOneConnection is one app server with a thousand messages of 256 bytes in flight and one device that
// receives and acknowledges them all, server and clients in one process. ns/op and allocs/op are those of
// all three; the server alone costs less.
func BenchmarkOneConnection(b *testing.B) {
	for _, store := range []struct {
		name string
		opt  ccstest.Option
	}{{"memory", nil}, {"disk", ccstest.Disk}} {
		b.Run(store.name, func(b *testing.B) {
			var opts []ccstest.Option
			if store.opt != nil {
				opts = append(opts, store.opt)
			}
			s := ccstest.Start(b, opts...)
			d := s.Enrol("com.example.app")
			got, done := 0, make(chan struct{})
			s.Connect(d, mcsclient.Options{OnMessage: func(*mcsclient.Message) {
				if got++; got == b.N {
					close(done)
				}
			}})
			c := s.AppServer(ccsclient.Options{})
			payload := stanza.Object(fmt.Sprintf(`{"k":%q}`, strings.Repeat("x", 255)))
			ids := make([]string, b.N)
			for i := range ids {
				ids[i] = fmt.Sprint("m-", i)
			}
			var refused error
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				m := stanza.Downstream{To: d.Token, MessageID: ids[i], TTL: time.Hour, Data: payload}
				require.NoError(b, c.Send(context.Background(), &m, func(r ccsclient.Reply) {
					if r.Err != nil {
						refused = r.Err
					}
				}))
			}
			<-done
			b.StopTimer()
			require.NoError(b, refused)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}
