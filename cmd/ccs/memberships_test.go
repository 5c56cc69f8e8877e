package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/server"
	"github.com/openccs/openccs/store"
)

// registered makes a data directory whose store has a registration of each token.
func registered(t *testing.T, sender string, tokens ...string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	require.Equal(t, exitDone, ccs(t, "project", "create", "--sender-id", sender, "--data", dir).code)
	conf := server.Default()
	conf.DataDir = dir
	st, err := server.OpenStore(context.Background(), conf)
	require.NoError(t, err)
	for i, token := range tokens {
		_, err := st.Register(context.Background(), store.Registration{Token: token, Device: uint64(1 + i), App: "app", Senders: []string{sender}}, time.Now())
		require.NoError(t, err)
	}
	require.NoError(t, st.Close())
	return dir
}

func TestTopicsAreManaged(t *testing.T) {
	dir := registered(t, "123456789012", "T1", "T2")
	topics := func(args ...string) result {
		t.Helper()
		return ccs(t, append(append([]string{"topics"}, args...), "--data", dir, "--sender", "123456789012")...)
	}
	got := topics("add", "/topics/news", "T1", "T2")
	require.Equal(t, exitDone, got.code, got.stderr)
	assert.Equal(t, "news: 2 subscribed\n", got.stdout)
	got = topics("add", "news", "T1", "unknown", "--json")
	assert.Equal(t, exitFailed, got.code)
	assert.JSONEq(t, `[{"token":"T1"},{"token":"unknown","error":"unknown_token"}]`, got.stdout)
	assert.Equal(t, exitUsage, topics("add", "a b", "T1").code)
	got = topics("list", "--json")
	assert.JSONEq(t, `{"topics":[{"topic":"news","subscribers":2}],"in_progress":[]}`, got.stdout)
	assert.Equal(t, "news  2 subscribers\n", topics("list").stdout)
	var all []server.Subscriber
	require.NoError(t, json.Unmarshal([]byte(topics("show", "news", "--json").stdout), &all))
	require.Len(t, all, 2)
	assert.Equal(t, "T1", all[0].Token)
	assert.Equal(t, "news: 1 unsubscribed\n", topics("remove", "news", "T1").stdout)
	assert.Contains(t, topics("show", "news").stdout, "T2  since ")
}

func TestGroupsAreManaged(t *testing.T) {
	dir := registered(t, "123456789012", "T1", "T2")
	groups := func(args ...string) result {
		t.Helper()
		return ccs(t, append(append([]string{"groups"}, args...), "--data", dir, "--sender", "123456789012", "--json")...)
	}
	var g server.Group
	got := groups("create", "user-7", "T1")
	require.Equal(t, exitDone, got.code, got.stderr)
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &g))
	assert.Equal(t, []string{"T1"}, g.Members)
	assert.Equal(t, exitFailed, groups("create", "user-7", "T1").code)
	require.Equal(t, exitDone, groups("add", "user-7", "T2").code)
	var all []server.Group
	require.NoError(t, json.Unmarshal([]byte(groups("list").stdout), &all))
	assert.Equal(t, []server.Group{{Name: "user-7", Key: g.Key, Members: []string{"T1", "T2"}}}, all)
	require.Equal(t, exitDone, groups("remove", "user-7", "T1", "T2").code)
	assert.Equal(t, "[]\n", groups("list").stdout)
	assert.Equal(t, exitFailed, groups("add", "user-7", "T1").code)
}
