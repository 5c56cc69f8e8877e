package redisstore_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

func TestNodesSeeEachOthersProjects(t *testing.T) {
	r := redistest.Single(t)
	a, b := open(t, r.URL("a:"), redisstore.Options{}), open(t, r.URL("a:"), redisstore.Options{})
	require.NoError(t, a.CreateProject(t.Context(), &store.Project{Sender: "1", Name: "old"}))
	name := func() string {
		p, err := b.Project(t.Context(), "1")
		require.NoError(t, err)
		return p.Name
	}
	rename := func(to string) {
		require.NoError(t, a.UpdateProject(t.Context(), "1", func(p *store.Project) error { p.Name = to; return nil }))
	}
	require.Equal(t, "old", name())
	rename("new")
	assert.Eventually(t, func() bool { return name() == "new" }, 5*time.Second, 20*time.Millisecond, "without a word, after a moment")
	rename("newest")
	b.ForgetProject("1")
	assert.Equal(t, "newest", name(), "with a word, at once")
	require.NoError(t, a.DeleteProject(t.Context(), "1"))
	_, err := a.Project(t.Context(), "1")
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestProjectsAreRemembered(t *testing.T) {
	r := redistest.Single(t)
	s := open(t, r.URL("a:"), redisstore.Options{})
	require.NoError(t, s.CreateProject(t.Context(), &store.Project{Sender: "1"}))
	r.Do("CONFIG", "RESETSTAT")
	for range 1000 {
		_, err := s.Project(t.Context(), "1")
		require.NoError(t, err)
	}
	assert.Less(t, calls(t, r, "hget"), 10)
}

// calls returns how often a server got a command since its counters were reset.
func calls(t *testing.T, r *redistest.Server, command string) int {
	t.Helper()
	for line := range strings.Lines(r.Do("INFO", "commandstats").(string)) {
		if rest, ok := strings.CutPrefix(line, "cmdstat_"+command+":calls="); ok {
			count, _, _ := strings.Cut(rest, ",")
			n, err := strconv.Atoi(count)
			require.NoError(t, err)
			return n
		}
	}
	return 0
}

func TestNothingIsLeftOfADeletedProject(t *testing.T) {
	r := redistest.Single(t)
	s := open(t, r.URL("a:"), redisstore.Options{})
	require.NoError(t, s.CreateProject(t.Context(), &store.Project{Sender: "1"}))
	for _, id := range []string{"a", "b"} {
		require.NoError(t, s.CreateOAuthClient(t.Context(), &store.OAuthClient{ID: id, Sender: "1"}))
		require.NoError(t, s.PutRefreshToken(t.Context(), &store.RefreshToken{Hash: store.HashKey(id), Client: id, Sender: "1"}))
	}
	require.NoError(t, s.DeleteRefreshToken(t.Context(), store.HashKey("b")))
	require.NoError(t, s.DeleteOAuthClient(t.Context(), "b"))
	require.NoError(t, s.DeleteProject(t.Context(), "1"))
	assert.Equal(t, int64(0), r.Do("DBSIZE"))
}
