package main

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/store/memstore"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

// eachWay runs a test on a data directory without a server, and on one with.
func eachWay(t *testing.T, test func(t *testing.T, dir string)) {
	t.Run("no server runs", func(t *testing.T) {
		test(t, filepath.Join(t.TempDir(), "data"))
	})
	t.Run("a server runs", func(t *testing.T) {
		dir := t.TempDir()
		mux := http.NewServeMux()
		admin.ProjectRoutes(mux, admin.NewProjects(memstore.New(), admin.Options{}))
		s, err := admin.Start(dir, mux, nil)
		require.NoError(t, err)
		test(t, dir)
		assert.NoError(t, s.Shutdown(t.Context()))
		assert.NoDirExists(t, filepath.Join(dir, "store"), "the store was left to the server")
	})
}

func TestProjectLife(t *testing.T) {
	eachWay(t, func(t *testing.T, dir string) {
		project := func(args ...string) result {
			t.Helper()
			return ccs(t, append(append([]string{"project"}, args...), "--data", dir)...)
		}
		var made map[string]string
		got := project("create", "My shop", "--json")
		require.Equal(t, exitDone, got.code, got.stderr)
		require.NoError(t, json.Unmarshal([]byte(got.stdout), &made))
		assert.Len(t, made, 2, "the contract names two fields")
		assert.Len(t, made["sender_id"], 12)
		assert.True(t, strings.HasPrefix(made["api_key"], "AIza"), made["api_key"])

		got = project("key", "add", made["sender_id"], "laptop")
		require.Equal(t, exitDone, got.code, got.stderr)
		assert.Contains(t, got.stdout, "API key    AIza")

		var list []admin.Project
		got = project("list", "--json")
		require.NoError(t, json.Unmarshal([]byte(got.stdout), &list), got.stderr)
		require.Len(t, list, 1)
		assert.Equal(t, "My shop", list[0].Name)
		require.Len(t, list[0].Keys, 2)
		assert.NotContains(t, got.stdout, made["api_key"])

		got = project("key", "revoke", made["sender_id"], made["api_key"])
		assert.Equal(t, exitUsage, got.code)
		assert.Contains(t, got.stderr, "…"+made["api_key"][35:]+" is not the ID of a key")
		assert.NotContains(t, got.stdout+got.stderr, made["api_key"][4:35], "what was given is secret")

		got = project("key", "revoke", made["sender_id"], list[0].Keys[0].ID)
		assert.Equal(t, exitDone, got.code, got.stderr)
		got = project("list")
		assert.NotContains(t, got.stdout, list[0].Keys[0].ID)
		assert.Contains(t, got.stdout, list[0].Keys[1].ID+" laptop")

		got = project("key", "networks", made["sender_id"], list[0].Keys[1].ID, "192.0.2.0/24")
		assert.Equal(t, exitDone, got.code, got.stderr)
		assert.Contains(t, got.stdout, "is accepted from 192.0.2.0/24 only")
		got = project("key", "networks", made["sender_id"], list[0].Keys[1].ID, "here")
		assert.Equal(t, exitUsage, got.code)
		got = project("key", "networks", made["sender_id"], list[0].Keys[1].ID, "--json")
		assert.Equal(t, `{"sender_id":"`+made["sender_id"]+`","key_id":"`+list[0].Keys[1].ID+`","networks":[]}`+"\n", got.stdout)

		got = project("create", "--sender-id", made["sender_id"])
		assert.Equal(t, exitFailed, got.code)
		assert.Contains(t, got.stderr, "exists already")

		assert.Equal(t, exitDone, project("delete", made["sender_id"]).code)
		got = project("delete", made["sender_id"])
		assert.Equal(t, exitFailed, got.code)
		assert.Contains(t, got.stderr, "not found")
		got = project("list")
		assert.Empty(t, got.stdout)
		assert.Contains(t, got.stderr, "ccs project create")
	})
}

func TestOAuthClientLife(t *testing.T) {
	eachWay(t, func(t *testing.T, dir string) {
		run := func(args ...string) result {
			t.Helper()
			return ccs(t, append(append([]string{"project"}, args...), "--data", dir)...)
		}
		got := run("create", "--sender-id", "4711")
		require.Equal(t, exitDone, got.code, got.stderr)

		got = run("oauth", "create", "--sender", "4711", "--json")
		require.Equal(t, exitDone, got.code, got.stderr)
		var made map[string]string
		require.NoError(t, json.Unmarshal([]byte(got.stdout), &made))
		assert.Len(t, made, 3, "the contract names three fields")
		for _, field := range []string{"client_id", "client_secret", "refresh_token"} {
			assert.NotEmpty(t, made[field], field)
		}
		got = run("oauth", "create", "--sender", "4711", "--json",
			"--client-id", "old.apps.googleusercontent.com", "--client-secret", "0bKU", "--refresh-token", "1%wMf")
		require.Equal(t, exitDone, got.code, got.stderr)
		assert.Equal(t, `{"client_id":"old.apps.googleusercontent.com","client_secret":"0bKU","refresh_token":"1%wMf"}`+"\n", got.stdout)
		got = run("oauth", "create", "--sender", "4711", "--user", "me")
		assert.Equal(t, exitUsage, got.code, got.stderr)

		got = run("oauth", "list")
		assert.Contains(t, got.stdout, made["client_id"])
		assert.NotContains(t, got.stdout, made["client_secret"])
		assert.NotContains(t, got.stdout, made["refresh_token"])
		var list []admin.OAuthClient
		got = run("oauth", "list", "--sender", "4711", "--json")
		require.NoError(t, json.Unmarshal([]byte(got.stdout), &list), got.stderr)
		assert.Len(t, list, 2)

		got = run("oauth", "revoke", made["client_id"], "--access-tokens")
		assert.Equal(t, exitDone, got.code, got.stderr)
		got = run("oauth", "revoke", made["client_id"], "--json")
		assert.Equal(t, exitDone, got.code, got.stderr)
		assert.Equal(t, `{"revoked":"`+made["client_id"]+`","access_tokens_only":false}`+"\n", got.stdout)
		got = run("oauth", "revoke", made["client_id"])
		assert.Equal(t, exitFailed, got.code)
		assert.Contains(t, got.stderr, "not found")
	})
}

func TestAppsOfAProject(t *testing.T) {
	eachWay(t, func(t *testing.T, dir string) {
		run := func(args ...string) result {
			t.Helper()
			return ccs(t, append(append([]string{"project"}, args...), "--data", dir)...)
		}
		got := run("create", "--sender-id", "4711")
		require.Equal(t, exitDone, got.code, got.stderr)
		got = run("apps", "list", "--sender", "4711", "--json")
		assert.Equal(t, "[]\n", got.stdout)
		got = run("apps", "add", "--sender", "4711", "aaaabbbb", "--json")
		assert.Equal(t, exitDone, got.code, got.stderr)
		assert.Equal(t, `{"added":"aaaabbbb","sender_id":"4711"}`+"\n", got.stdout)
		got = run("apps", "add", "--sender", "4711", "aaaabbbb")
		assert.Equal(t, exitFailed, got.code)
		assert.Contains(t, got.stderr, "exists already")
		got = run("apps", "add", "--sender", "4711", "org.example")
		assert.Equal(t, exitUsage, got.code)
		var list []admin.App
		got = run("apps", "list", "--sender", "4711", "--json")
		require.NoError(t, json.Unmarshal([]byte(got.stdout), &list), got.stderr)
		require.Len(t, list, 1)
		assert.Equal(t, "aaaabbbb", list[0].ID)
		got = run("apps", "remove", "--sender", "4711", "aaaabbbb")
		assert.Equal(t, "removed aaaabbbb: project 4711\n", got.stdout)
		got = run("apps", "remove", "--sender", "4711", "aaaabbbb")
		assert.Equal(t, exitFailed, got.code)

		got = run("limit", "4711", "--chrome-per-day", "7", "--json")
		assert.Equal(t, exitDone, got.code, got.stderr)
		assert.JSONEq(t, `{"window":0,"upstream_window":0,"per_second":0,"chrome_per_day":7}`, got.stdout)
	})
}

func TestProjectRefusesASenderIDThatIsNone(t *testing.T) {
	got := ccs(t, "project", "create", "--sender-id", "12ab", "--data", t.TempDir())
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.stderr, "--sender-id")
	assert.Contains(t, got.stderr, `"12ab"`)
}

func TestProjectsInRedis(t *testing.T) {
	store := redistest.Single(t).URL("a:")
	dir := filepath.Join(t.TempDir(), "data")
	got := ccs(t, "project", "create", "My shop", "--data", dir, "--store", store)
	require.Equal(t, exitDone, got.code, got.stderr)
	got = ccs(t, "project", "list", "--data", dir, "--store", store)
	require.Equal(t, exitDone, got.code, got.stderr)
	assert.Contains(t, got.stdout, "My shop")
	got = ccs(t, "project", "list", "--data", dir, "--store", "redis://user:secret@127.0.0.1:1")
	assert.Equal(t, exitFailed, got.code)
	assert.Contains(t, got.stderr, "redis://user:xxxxx@127.0.0.1:1")
	assert.Contains(t, got.stderr, "is Redis running there?")
}
