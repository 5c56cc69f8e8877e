package xmppserver_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/devcert"
	"github.com/openccs/openccs/ccs/xmppserver"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
)

// unattachable is a cluster that gives no session its queue.
type unattachable struct{}

func (unattachable) Attach(context.Context, store.Key, store.Lease) error {
	return errors.New("no queue for anybody")
}
func (unattachable) Detach(context.Context, store.Key, store.Lease, time.Duration) error { return nil }
func (unattachable) Offer(_ context.Context, b []store.Entry) ([]bool, error) {
	return make([]bool, len(b)), nil
}
func (unattachable) ProjectChanged(context.Context, string) error { return nil }

// unattached returns a server in a cluster, with a project, and its log of errors. The caller must
// call stop.
func unattached(t *testing.T, c ccs.Cluster) (w *world, logs *observer.ObservedLogs, stop func()) {
	ctx, st := context.Background(), memstore.New()
	require.NoError(t, st.CreateProject(ctx, &store.Project{Sender: testSender, Keys: []store.APIKey{{ID: "k1", Hash: store.HashKey(testKey)}}}))
	core, logs := observer.New(zap.ErrorLevel)
	router, err := ccs.New(ctx, st, ccs.Options{Logger: zap.New(core), Cluster: c})
	require.NoError(t, err)
	pair, err := devcert.New([]string{"gcm.googleapis.com"}, time.Now())
	require.NoError(t, err)
	server := xmppserver.New(router, xmppserver.Options{TLS: &tls.Config{Certificates: []tls.Certificate{pair.Cert}}, Logger: zap.New(core)})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go server.Serve(l, "test")
	t.Cleanup(func() { server.Close() })
	w = &world{t: t, addr: l.Addr().String(), tls: &tls.Config{RootCAs: pair.Pool, ServerName: "gcm.googleapis.com"}}
	return w, logs, func() { require.NoError(t, server.Close()) }
}

func TestALoginThatGetsNoQueueIsInTheLog(t *testing.T) {
	t.Parallel()
	w, logs, stop := unattached(t, unattachable{})
	w.login().until("</stream:stream>")
	stop()
	lines := logs.FilterMessage("session not opened").All()
	require.Len(t, lines, 1)
	assert.Contains(t, lines[0].ContextMap()["error"], "no queue for anybody")
}

// unavailable is a cluster that can give no session its queue now.
type unavailable struct{ unattachable }

func (unavailable) Attach(context.Context, store.Key, store.Lease) error {
	return store.ErrUnavailable
}

// The client should try again. The log reports the failing store once, and not for every login.
func TestALoginWhileTheStoreIsUnavailable(t *testing.T) {
	t.Parallel()
	w, logs, stop := unattached(t, unavailable{})
	for range 3 {
		assert.Contains(t, w.login().until("</stream:stream>"), "<resource-constraint")
	}
	stop()
	assert.LessOrEqual(t, logs.Len(), 1)
}
