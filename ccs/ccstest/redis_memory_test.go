package ccstest_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/ccs/server"
	"github.com/openccs/openccs/stanza"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

// Redis has used all its memory (maxmemory, noeviction). New messages are refused with a code that
// says so, stored ones are offered and forgotten, and devices and app servers may log in.
// Everything recovers by itself when there is room again. The log says when this begins and ends.
func TestMemoryOfRedisIsUsedUp(t *testing.T) {
	t.Parallel()
	const stored = 50
	redis := redistest.Single(t, "--maxmemory-policy", "noeviction")
	core, logs := observer.New(zap.InfoLevel)
	a := ccstest.Start(t, ccstest.Store(redis.URL("")), func(c *server.Config) { c.Logger = zap.New(core) })
	d, other := a.Enrol("com.example.app"), a.Enrol("com.example.app")
	up := newInbox[string]()
	upstream := ccsclient.Options{OnUpstream: func(m *ccsclient.Upstream) error { up.add(m.MessageID); return nil }}
	app := a.AppServer(upstream)
	dev := a.Connect(other, mcsclient.Options{})
	send(t, app, d.Token, stored)

	var used int
	for line := range strings.Lines(redis.Do("INFO", "memory").(string)) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); ok {
			used, _ = strconv.Atoi(text)
		}
	}
	require.Positive(t, used)
	redis.Do("CONFIG", "SET", "maxmemory", fmt.Sprint(used/2))
	for i := range 20 {
		_, err := app.SendWait(t.Context(), message(d.Token, fmt.Sprint("refused ", i)))
		var nack *ccsclient.Nack
		require.ErrorAs(t, err, &nack)
		require.Equal(t, stanza.ServiceUnavailable, nack.Code)
	}
	upAcked := make(chan error, 1)
	require.NoError(t, dev.Send(t.Context(), &mcsclient.Upstream{To: a.Sender, Category: other.App, ID: "u", PersistentID: "u"}, func(err error) { upAcked <- err }))

	// All stored messages arrive on a login that comes only now, and are forgotten there.
	dev2, in := receive(a, d, mcsclient.Options{})
	assert.Equal(t, numbers(stored), in.wait(t, stored))
	require.Eventually(t, func() bool { return redis.Do("ZCARD", fmt.Sprintf("{d:%d}:w", d.AndroidID)).(int64) <= 1 }, patience, 10*time.Millisecond)
	select {
	case <-dev2.Done():
		require.NoError(t, dev2.Err())
	case err := <-upAcked:
		require.NoError(t, errors.Join(errors.New("acknowledged and not stored"), err))
	default:
	}
	late := a.AppServer(upstream)

	redis.Do("CONFIG", "SET", "maxmemory", 0)
	require.Eventually(t, func() bool {
		_, err := late.SendWait(t.Context(), message(d.Token, "after"))
		return err == nil
	}, patience, 10*time.Millisecond)
	assert.Equal(t, "after", in.wait(t, stored+1)[stored])
	require.NoError(t, <-upAcked)
	assert.Equal(t, []string{"u"}, up.wait(t, 1))
	const begins, ends = "store unavailable", "store available again"
	require.Eventually(t, func() bool { return logs.FilterMessage(ends).Len() == 1 }, patience, 10*time.Millisecond)
	assert.Equal(t, 1, logs.FilterMessage(begins).Len())
	var noise []string
	for _, e := range logs.All() {
		if e.Level >= zap.WarnLevel && e.Message != begins {
			noise = append(noise, e.Message)
		}
	}
	assert.Empty(t, noise)
}
