package ccstest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/card"
	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/mcsclient"
)

var devicesFlag = flag.Int("devices", 10_000, "how many devices BenchmarkIdleDevices connects")

// pulse is an app server that sends at a steady rate and measures how long each ack takes from when
// the message was due. It ends with the context.
func pulse(ctx context.Context, c *ccsclient.Client, token string) (acks []time.Duration, refused int) {
	const every = 5 * time.Millisecond
	var mu sync.Mutex
	var wg sync.WaitGroup
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			wg.Wait()
			return acks, refused
		case due := <-tick.C:
			wg.Add(1)
			m := message(token, fmt.Sprint("p-", i))
			m.CollapseKey = "pulse" // the device may be away
			err := c.Send(ctx, m, func(r ccsclient.Reply) {
				defer wg.Done()
				took := time.Since(due)
				mu.Lock()
				defer mu.Unlock()
				if acks = append(acks, took); r.Err != nil {
					refused++
				}
			})
			if err != nil {
				wg.Done()
			}
		}
	}
}

// BenchmarkIdleDevices connects devices to a server process and weighs it. It reports KiB of
// resident memory per connection, at rest and after a forced collection, and goroutines. Then it
// kills the server and starts it again. It measures how long the devices need to come back, all at
// once, and how long an app server waits for its acks during that.
func BenchmarkIdleDevices(b *testing.B) {
	for b.Loop() {
		measureIdleDevices(b, *devicesFlag)
	}
}

// giveBackWait is how long after the last login the server has given back the memory of logins.
const giveBackWait = 10 * time.Second

// site is the address of the benchmark's server, and the CA to trust.
type site struct {
	card.Card
	trust *tls.Config
	token string // of a registration
}

func measureIdleDevices(b *testing.B, n int) {
	v := &victim{t: b, dir: b.TempDir()}
	at := site{Card: v.start()}
	defer func() { v.kill() }()
	pem, err := os.ReadFile(at.CAFile)
	require.NoError(b, err)
	roots := x509.NewCertPool()
	require.True(b, roots.AppendCertsFromPEM(pem))
	at.trust = &tls.Config{RootCAs: roots, ServerName: "localhost"}
	hc := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: at.trust}}
	ids := enrol(b, hc, at.Card, n)
	at.token, err = mcsclient.Register(b.Context(), hc, at.HTTP, ids[0], mcsclient.Registration{App: "app", Senders: []string{at.SenderID}})
	require.NoError(b, err)
	hc.CloseIdleConnections()

	emptyRSS, empty := v.weigh()
	f := &fleet{b: b}
	f.start(fleetOrder{MCS: at.MCS, CAFile: at.CAFile, IDs: ids})
	defer f.kill()
	took, failed := f.wait(n)
	b.Logf("%d devices are online after %.1fs, %d attempts failed", n, took.Seconds(), failed)
	time.Sleep(giveBackWait)
	b.ReportMetric(float64(v.rss()-emptyRSS)/float64(n), "KiB/conn-at-rest")
	fullRSS, full := v.weigh()
	per := func(before, after uint64) float64 { return (float64(after) - float64(before)) / 1024 / float64(n) }
	b.Logf("of each connection, KiB: heap %.1f, stack %.1f", per(empty.Heap, full.Heap), per(empty.Stack, full.Stack))
	b.ReportMetric(float64(fullRSS-emptyRSS)/float64(n), "KiB/conn")
	b.ReportMetric(float64(full.Goroutines-empty.Goroutines)/float64(n), "goroutines/conn")
	b.ReportMetric(at.ackP99(b, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		<-ctx.Done()
	}), "ms/calm-ack-p99")

	v.kill()
	_, before := f.wait(0)
	v.start()
	restarted := time.Now()
	b.ReportMetric(at.ackP99(b, func(context.Context) {
		_, failed = f.wait(n)
		took = time.Since(restarted)
	}), "ms/stampede-ack-p99")
	b.Logf("all back after %.1fs, %d attempts failed", took.Seconds(), failed-before)
	b.ReportMetric(took.Seconds(), "s/stampede")
}

// ackP99 returns the 99th percentile of an app server's acks in milliseconds, while a function
// runs.
func (at *site) ackP99(b *testing.B, meanwhile func(context.Context)) float64 {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	c, err := ccsclient.Dial(ctx, at.XMPP, at.SenderID, at.APIKey, ccsclient.Options{TLS: at.trust})
	require.NoError(b, err)
	defer c.Close()
	var acks []time.Duration
	var refused int
	var sender sync.WaitGroup
	sending, stop := context.WithCancel(ctx)
	sender.Go(func() { acks, refused = pulse(sending, c, at.token) })
	meanwhile(ctx)
	stop()
	sender.Wait()
	assert.Zero(b, refused)
	require.NotEmpty(b, acks)
	slices.Sort(acks)
	b.Logf("%d acks, half of them within %v, the last after %v", len(acks), acks[len(acks)/2], acks[len(acks)-1])
	return float64(acks[len(acks)*99/100]) / float64(time.Millisecond)
}
