package xmppserver_test

import (
	"fmt"
	"io"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/xmppserver"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/stanza"
)

// heap returns the bytes of live objects.
func heap() int64 {
	runtime.GC()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return int64(live[0].Value.Uint64())
}

// A peer that sends large stanzas and never reads an answer is not read for long. Its unanswered
// stanzas are bounded in bytes, not only in messages (CCS 4.1).
func TestLargeStanzasOfPeersThatNeverRead(t *testing.T) {
	const peers = 3
	memory := flowcontrol.NewBudget(256 << 20)
	w := newWorld(t, xmppserver.Options{Memory: memory}, ccs.Options{})
	before := heap()
	text := send(strings.Repeat("x", 250_000), "m-1", "") // the nack repeats its to
	var all sync.WaitGroup
	for range peers {
		p := w.login()
		all.Go(func() {
			p.nc.SetWriteDeadline(time.Now().Add(time.Second))
			for range 400 {
				if _, err := io.WriteString(p.nc, text); err != nil {
					return
				}
			}
			t.Error("100 MB were taken from a peer that does not read")
		})
	}
	all.Wait()
	held := heap() - before
	t.Logf("%d KiB are counted, %d KiB live", memory.Used()>>10, held>>10)
	assert.NotZero(t, memory.Used())
	assert.LessOrEqual(t, memory.Used(), int64(peers*4<<20))
	assert.LessOrEqual(t, held, int64(peers*8<<20))
	w.login().quiet()
	require.NoError(t, w.server.Close())
	assert.Zero(t, memory.Used())
}

// A peer has at most a MiB of unacknowledged messages, and gets more as it acknowledges.
func TestUnacknowledgedBytesAreBounded(t *testing.T) {
	t.Parallel()
	const messages, size = 600, 4000
	memory := flowcontrol.NewBudget(256 << 20)
	w := newWorld(t, xmppserver.Options{Memory: memory}, ccs.Options{})
	for i := range messages {
		w.upstream(fmt.Sprint("u-", i), func(m *ccs.Upstream) {
			m.Data = stanza.Data{}.Append("x", strings.Repeat("x", size))
		})
	}
	p := w.login()
	for got := 0; got < messages; {
		// Offered messages come before the answer to a ping.
		p.send(`<iq id="ping" type="get"><ping xmlns="urn:xmpp:ping"/></iq>`)
		offered := strings.Count(p.until(`<iq id="ping" type="result"/>`), "</message>")
		assert.LessOrEqual(t, offered, (1<<20)/size+256)
		assert.LessOrEqual(t, memory.Used(), int64(3<<20))
		var acks strings.Builder
		for i := range offered {
			acks.WriteString(clientAck(testToken, fmt.Sprint("u-", got+i)))
		}
		p.send(acks.String())
		got += offered
	}
	p.quiet()
	// Written bytes count until the write has returned, which may be after the peer has read them.
	assert.Eventually(t, func() bool { return memory.Used() == 0 }, 5*time.Second, time.Millisecond)
}
