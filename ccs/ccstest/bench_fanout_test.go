package ccstest_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

const (
	benchSubscribers = 100_000
	benchFanouts     = 5 // topic messages, one after the other
)

// BenchmarkFanout measures how fast a topic message is copied to 100,000 subscribers, whose devices
// are away, and how long the answers to another sender take with and without that.
func BenchmarkFanout(b *testing.B) {
	for name, url := range map[string]func() string{
		"Disk":  func() string { return "" },
		"Redis": func() string { return redistest.Single(b).URL("") },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				measureFanout(b, url())
			}
		})
	}
}

func measureFanout(b *testing.B, url string) {
	quiet := shape{name: "quiet", senders: 1, devices: 1, window: 1000, rate: quietRate}
	whole := shape{store: url, senders: 2, devices: 2}
	all := whole.makeBed(b)
	all.kill()
	subscribeDevices(b, all.dir, url, all.senders[1].SenderID, benchSubscribers, all.tokens[1])
	all.card = all.start()
	mine := *all
	mine.senders, mine.devices, mine.tokens = all.senders[:1], all.devices[:1], all.tokens[:1]

	l := &load{shape: &quiet, work: make(chan int), failed: make(chan struct{})}
	quiet.connect(b, &mine, l)
	var driving sync.WaitGroup
	stop := make(chan struct{})
	driving.Go(func() {
		defer close(l.work)
		for {
			select {
			case <-stop:
				return
			default:
				l.hand(quietRate / 5)
			}
		}
	})
	got := lastSubscriber(b, all.trust, all.card, all.devices[1])
	app := ccsclient.NewAppServer(all.card.XMPP, all.senders[1].SenderID, all.senders[1].APIKey, ccsclient.AppServerOptions{
		Options: ccsclient.Options{TLS: all.trust},
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = app.Run(ctx) })
	defer running.Wait()
	defer cancel()
	sendToTopic(b, app, "warm")
	require.Equal(b, "warm", <-got)

	alone := l.during(quietFor)
	began, cpu := time.Now(), -all.cpu(b)
	copied := make(chan time.Duration)
	go func() {
		for i := range benchFanouts {
			id := fmt.Sprint("m-", i)
			sendToTopic(b, app, id)
			for <-got != id {
			}
		}
		copied <- time.Since(began)
	}()
	var beside []time.Duration
	var took time.Duration
	for took == 0 {
		select {
		case took = <-copied:
		default:
			beside = append(beside, l.during(quietFor/30)...)
		}
	}
	cpu += all.cpu(b)
	close(stop)
	driving.Wait()
	l.sending.Wait()
	require.NoError(b, l.err)
	copies := float64(benchFanouts * (benchSubscribers + 1))
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(copies/took.Seconds(), "copies/s")
	b.ReportMetric(float64(cpu.Microseconds())/copies, "server-µs/copy") // with the other sender's
	b.ReportMetric(percentile(alone, 0.50), "alone-p50-ms")
	b.ReportMetric(percentile(alone, 0.99), "alone-p99-ms")
	b.ReportMetric(percentile(beside, 0.50), "beside-p50-ms")
	b.ReportMetric(percentile(beside, 0.99), "beside-p99-ms")
	b.ReportMetric(percentile(beside, 0.99)/percentile(alone, 0.99), "ratio")
}
