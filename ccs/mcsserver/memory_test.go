package mcsserver_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/mcsserver"
	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/flowcontrol"
)

// large sends a message of nearly 4 KB.
func (w *world) large(id string, whenActive bool) {
	w.sendMessage(ccs.Downstream{To: w.token, ID: id, TTL: time.Hour, DelayWhileIdle: whenActive,
		Data: payload.Data{}.Append("id", id).Append("x", strings.Repeat("x", 3900))})
}

// A device that does not read gets only as many messages as there is memory for, and the others as
// it reads.
func TestMemoryOfADeviceThatDoesNotRead(t *testing.T) {
	for _, row := range []struct {
		name        string
		limit, most int64
	}{
		{"there is enough", 256 << 20, 2 << 20},
		{"there is little", 1 << 20, 1<<20/8 + 256*4200}, // the size of the first batch is unknown
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const messages = 500
				memory := flowcontrol.NewBudget(row.limit)
				w := newBubble(t, mcsserver.Options{Memory: memory})
				p := w.login()
				synctest.Wait()
				for i := range messages {
					w.large(fmt.Sprint(i), false)
				}
				synctest.Wait()
				assert.NotZero(t, memory.Used())
				for i := range messages {
					assert.LessOrEqual(t, memory.Used(), row.most)
					ids, _ := p.ids(1)
					assert.Equal(t, fmt.Sprint(i), ids[0])
				}
				synctest.Wait()
				assert.Zero(t, memory.Used())
			})
		})
	}
}

// Deferred messages are counted, and not deferred when memory is short (CCS 5.4).
func TestMemoryOfDelayedMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := flowcontrol.NewBudget(1 << 20)
		w := newBubble(t, mcsserver.Options{Memory: memory})
		p := w.login()
		p.idle(true)
		go io.Copy(io.Discard, p.tcp) // reads the messages that are not delayed any more
		for i := range 60 {
			w.large(fmt.Sprint(i), true)
			synctest.Wait()
		}
		synctest.Wait()
		held := memory.Used()
		assert.NotZero(t, held)
		assert.LessOrEqual(t, held, memory.Limit()/8+4200)
		require.NoError(t, p.tcp.Close())
		synctest.Wait()
		assert.Zero(t, memory.Used(), "given back with the session")
	})
}
