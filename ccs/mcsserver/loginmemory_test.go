package mcsserver_test

import (
	"bytes"
	"crypto/tls"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/internal/eagerconn"
	"github.com/openccs/openccs/ccs/mcs"
	"github.com/openccs/openccs/ccs/mcsserver"
	"github.com/openccs/openccs/flowcontrol"
)

// heap returns the bytes of live objects.
func heap() int64 {
	runtime.GC()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return int64(live[0].Value.Uint64())
}

// Many connections send most of a login of the largest size, and no more. They hold no more memory
// together than the budget of all connections before login. A normal device can still log in.
func TestMemoryBeforeLoginIsBounded(t *testing.T) {
	const peers, declared = 300, mcs.MaxLogin
	budget := flowcontrol.NewBudget(eagerconn.LoginMemory)
	w := newWorld(t, mcsserver.Options{LoginBudget: budget}, ccs.Options{})
	login := []byte{mcs.Version, byte(mcs.TagLoginRequest), 0x80, 0x80, 0x20} // 512 KiB
	login = append(login, bytes.Repeat([]byte{10<<3 | 2, 0}, declared/2)...)  // empty IDs
	before := heap()
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			for range peers / 10 {
				tcp, err := w.connect()
				if !assert.NoError(t, err) {
					return
				}
				t.Cleanup(func() { tcp.Close() })
				tcp.SetDeadline(time.Now().Add(patience))
				nc := tls.Client(tcp, w.tls)
				for sent := 0; sent < len(login)*9/10 && err == nil; {
					var n int
					// The write fails if the server has closed the connection.
					n, err = nc.Write(login[sent : sent+16<<10])
					sent += n
				}
			}
		})
	}
	all.Wait()
	w.login().ping()
	held := heap() - before
	t.Logf("of %d connections: %d KiB are charged, %d KiB live", peers, budget.Used()>>10, held>>10)
	assert.LessOrEqual(t, budget.Used(), budget.Limit())
	assert.Greater(t, budget.Used(), budget.Limit()/4, "some still hold theirs")
	// The clients' ends are in this process too.
	assert.Less(t, held, budget.Limit()+peers*50<<10)
	require.NoError(t, w.server.Close())
	assert.Zero(t, budget.Used())
}

// A list of very many very short IDs takes little memory, and the last of them count.
func TestAListOfManyIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	p := w.login()
	w.send("1")
	_, got := p.ids(1)
	p.nc.Close()
	ids := make([]string, 100_000, 100_001)
	p = w.dial()
	p.login(w.loginRequest(append(ids, got...)...))
	p.ping()
	assert.Zero(t, w.waiting())
}
