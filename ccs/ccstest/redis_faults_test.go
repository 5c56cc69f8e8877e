package ccstest_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/ccs/server"
	"github.com/openccs/openccs/stanza"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

// synced makes Redis write and sync before it answers, so that a kill of Redis loses nothing
// either.
var synced = []string{"--appendfsync", "always"}

// Redis is killed with a thousand messages in flight, and started again. Connections stay,
// acknowledged messages are stored, and service resumes by itself.
func TestRedisIsKilled(t *testing.T) {
	t.Parallel()
	redis := redistest.Single(t, synced...)
	a := ccstest.Start(t, ccstest.Store(redis.URL("")))
	f := flow(t, a, a.Another(), 3)
	for range 3 {
		redis.Kill()
		time.Sleep(time.Second) // the outage
		redis.Restart()
		f.flows()
		f.stays()
	}
	assert.Zero(t, f.reconnects.Load(), "devices stay connected too")
	f.account()
}

// Redis stands still for ten seconds. Everything waits, no connection ends, and no node declares
// another dead.
func TestRedisStandsStill(t *testing.T) {
	t.Parallel()
	redis := redistest.Single(t, synced...)
	a := ccstest.Start(t, ccstest.Store(redis.URL("")), beating)
	f := flow(t, a, a.Another(beating), 3)
	redis.Pause()
	time.Sleep(time.Second)
	before := f.ackedSoFar()
	time.Sleep(9 * time.Second)
	assert.Equal(t, before, f.ackedSoFar(), "an ack without a store")
	assert.LessOrEqual(t, f.app.InFlight(), 1000)
	redis.Resume()
	f.flows()
	f.stays()
	assert.Zero(t, f.reconnects.Load(), "devices stay connected too")
	f.account()
}

// Redis is stopped for longer. The health check reports it, the server answers sends and logins,
// and connections stay.
func TestRedisFallsSilent(t *testing.T) {
	t.Parallel()
	redis := redistest.Single(t)
	a := ccstest.Start(t, ccstest.Store(redis.URL("")))
	d := a.Enrol("com.example.app")
	_, in := receive(a, d, mcsclient.Options{})
	app := a.AppServer(ccsclient.Options{})
	send(t, app, d.Token, 10)
	in.wait(t, 10)

	redis.Pause()
	health := func() int {
		resp, err := a.HTTP().Get(a.HTTPURL() + "/healthz")
		require.NoError(t, err)
		defer resp.Body.Close()
		return resp.StatusCode
	}
	require.Eventually(t, func() bool { return health() == http.StatusServiceUnavailable }, patience, 10*time.Millisecond)
	_, err := app.SendWait(t.Context(), message(d.Token, "refused"))
	var nack *ccsclient.Nack
	require.ErrorAs(t, err, &nack)
	assert.Equal(t, stanza.ServiceUnavailable, nack.Code)
	_, err = ccsclient.Dial(t.Context(), a.XMPPAddr(), a.Sender, a.Key, ccsclient.Options{TLS: a.TLS()})
	require.Error(t, err)
	t.Logf("a login meanwhile: %v", err)

	redis.Resume()
	require.Eventually(t, func() bool { return health() == http.StatusOK }, patience, 10*time.Millisecond)
	_, err = app.SendWait(t.Context(), message(d.Token, "taken"))
	require.NoError(t, err)
	assert.Equal(t, "taken", in.wait(t, 11)[10])
}

// Connections to Redis are cut again and again, in the middle of pipelines. It is unknown then
// which commands ran.
func TestConnectionsToRedisAreCut(t *testing.T) {
	t.Parallel()
	redis := redistest.Single(t)
	a := ccstest.Start(t, ccstest.Store(redis.URL("")))
	f := flow(t, a, a.Another(), 3)
	for i := range 40 {
		redis.Do("CLIENT", "KILL", "TYPE", []string{"normal", "pubsub"}[i%2], "SKIPME", "yes")
		time.Sleep(25 * time.Millisecond)
	}
	f.flows()
	f.stays()
	f.account()
}

// A primary of a cluster is killed and its replica takes its place. Changes that the primary has
// acknowledged and not yet passed on are lost, because of how Redis replicates. With --redis-wait
// they are not acknowledged before.
func TestPrimaryOfAClusterIsKilled(t *testing.T) {
	t.Parallel()
	for name, wait := range map[string]string{"without waiting": "", "waiting for a replica": "1:3000"} {
		t.Run(name, func(t *testing.T) {
			replicas := 1
			if wait != "" {
				// One is left for the new primary; without, everything for its slots would be
				// refused.
				replicas = 2
			}
			cluster := redistest.Cluster(t, replicas)
			options := []ccstest.Option{func(c *server.Config) { c.RedisWait = wait }}
			if wait == "" {
				options = append(options, ccstest.Unaudited("a primary that is killed loses what it has not passed on"))
			}
			a := ccstest.Start(t, append(options, ccstest.Store(cluster.URL("")))...)
			f := flow(t, a, a.Another(options...), 12)
			cluster.Primaries[1].Kill()
			f.flows()
			f.stays()
			if wait != "" {
				f.account()
				return
			}
			f.quiet()
			f.settles()
			f.end()
			t.Logf("%s; devices reconnected %d times", f, f.reconnects.Load())
		})
	}
}

// All data of Redis is deleted under a running server. The server goes on with new messages.
func TestFlushAll(t *testing.T) {
	t.Parallel()
	redis := redistest.Single(t)
	lost := ccstest.Unaudited("FLUSHALL throws messages away")
	a := ccstest.Start(t, ccstest.Store(redis.URL("")), lost)
	b := a.Another(lost)
	d := b.Enrol("com.example.app")
	_, in := receive(b, d, mcsclient.Options{})
	app := a.AppServer(ccsclient.Options{})
	send(t, app, d.Token, 100)
	in.wait(t, 100)
	redis.Do("FLUSHALL")
	_, err := app.SendWait(t.Context(), message(d.Token, "flushed"))
	var nack *ccsclient.Nack
	require.ErrorAs(t, err, &nack)
	assert.Equal(t, stanza.BadRegistration, nack.Code)

	client, err := admin.Dial(a.Dir())
	require.NoError(t, err)
	defer client.Close()
	made, err := client.Create(t.Context(), "anew", "")
	require.NoError(t, err)
	a.Sender, a.Key = made.SenderID, made.APIKey
	token, err := mcsclient.Register(t.Context(), b.HTTP(), b.HTTPURL(), d.Identity, mcsclient.Registration{App: d.App, Senders: []string{a.Sender}})
	require.NoError(t, err)
	app = a.AppServer(ccsclient.Options{})
	_, err = app.SendWait(t.Context(), message(token, "the first"))
	require.NoError(t, err)
	in.wait(t, 101)  // its node has noticed
	const more = 200 // than may wait for a device that is away
	send(t, app, token, more)
	assert.Equal(t, numbers(more), in.wait(t, 101+more)[101:], "over the connection that the device has")
}

// Redis refuses our password, which is an answer, and later accepts it again.
func TestPasswordOfRedisIsChanged(t *testing.T) {
	t.Parallel()
	redis := redistest.Single(t)
	right := []any{"ACL", "SETUSER", "ccs", "on", ">right", "~*", "&*", "+@all"}
	redis.Do(right...)
	url := strings.Replace(redis.URL(""), "redis://", "redis://ccs:right@", 1)
	a := ccstest.Start(t, ccstest.Store(url))
	d := a.Enrol("com.example.app")
	// The acknowledgements may reach the server while it has no password. Then the device connects
	// again, and may get messages again.
	in := newInbox[string]()
	a.RunDevice(d, mcsclient.DeviceOptions{Options: mcsclient.Options{OnMessage: func(m *mcsclient.Message) {
		id, _ := m.Get("id")
		in.add(id)
	}}})
	app := a.AppServer(ccsclient.Options{})
	send(t, app, d.Token, 10)
	in.wait(t, 10)

	redis.Do("ACL", "DELUSER", "ccs")
	_, err := app.SendWait(t.Context(), message(d.Token, "refused"))
	var nack *ccsclient.Nack
	require.ErrorAs(t, err, &nack)
	assert.Contains(t, []stanza.Code{stanza.ServiceUnavailable, stanza.InternalServerError}, nack.Code)

	redis.Do(right...)
	_, err = app.SendWait(t.Context(), message(d.Token, "taken again"))
	require.NoError(t, err)
	assert.Eventually(t, func() bool { return slices.Contains(in.all(), "taken again") }, patience, 5*time.Millisecond)
}

// A node is killed that has offered a thousand messages each way. Within two heartbeats another
// node offers them, and no claim is left.
func TestNodeIsKilled(t *testing.T) {
	t.Parallel()
	const total = 1000
	redis := redistest.Single(t)
	a := ccstest.Start(t, ccstest.Store(redis.URL("")), beating)
	v := &victim{t: t, dir: t.TempDir(), store: redis.URL("")}
	where := v.start()
	defer func() { v.kill() }()
	pem, err := os.ReadFile(where.CAFile)
	require.NoError(t, err)
	trust := &tls.Config{RootCAs: x509.NewCertPool()}
	require.True(t, trust.RootCAs.AppendCertsFromPEM(pem))

	d, sender := a.Enrol("com.example.app"), a.Enrol("com.example.app")
	held := newInbox[string]()
	_, err = mcsclient.Dial(t.Context(), where.MCS, d.Identity, mcsclient.Options{
		TLS: trust, Ack: mcsclient.AckNever, OnMessage: func(m *mcsclient.Message) { id, _ := m.Get("id"); held.add(id) },
	})
	require.NoError(t, err)
	heldUp := newInbox[string]()
	_, err = ccsclient.Dial(t.Context(), where.XMPP, a.Sender, a.Key, ccsclient.Options{
		TLS: trust, OnUpstream: func(m *ccsclient.Upstream) error { heldUp.add(m.MessageID); return assert.AnError },
	})
	require.NoError(t, err)
	app := a.AppServer(ccsclient.Options{})
	send(t, app, d.Token, total)
	held.wait(t, total)
	require.NoError(t, app.Close())
	upstream(t, a, sender, a.Connect(sender, mcsclient.Options{}), numbers(total)...)
	heldUp.wait(t, total)

	v.kill()
	killed := time.Now()
	up := newInbox[string]()
	a.AppServer(ccsclient.Options{OnUpstream: func(m *ccsclient.Upstream) error { up.add(m.MessageID); return nil }})
	_, down := receive(a, d, mcsclient.Options{})
	assert.Equal(t, numbers(total), down.wait(t, total), "all, in order, from another node")
	assert.ElementsMatch(t, numbers(total), up.wait(t, total))
	took := time.Since(killed)
	t.Logf("%d messages each way went on after %s with a heartbeat of %s", total, took.Round(time.Millisecond), heartbeat)
	assert.Less(t, took, 2*heartbeat+time.Second)
	require.Eventually(t, func() bool { return claims(redis) == 0 }, patience, 10*time.Millisecond, "orphaned claims")
}

// claims counts the entries that any node has claimed and not acknowledged.
func claims(redis *redistest.Server) (n int) {
	for _, key := range redis.Do("KEYS", "*:c").([]any) {
		for _, v := range redis.Do("HVALS", key).([]any) {
			if strings.Contains(fmt.Sprint(v), "/") {
				n++
			}
		}
	}
	return n
}
