package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/store/memstore"
)

func TestDialFindsTheServerOfTheDirectory(t *testing.T) {
	dir := t.TempDir()
	start(t, dir, http.NewServeMux())
	c, err := admin.Dial(dir)
	require.NoError(t, err)
	assert.Equal(t, os.Getpid(), c.PID())
	require.NoError(t, c.Close())

	info, err := os.Stat(filepath.Join(dir, "control.sock"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	assert.Equal(t, os.Getpid(), readPlace(t, dir).PID)
}

func TestDialWithoutAServer(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, dir string)
	}{
		{name: "the directory is empty", prepare: func(*testing.T, string) {}},
		{name: "a server has shut down", prepare: func(t *testing.T, dir string) {
			s, err := admin.Start(dir, http.NewServeMux(), nil)
			require.NoError(t, err)
			require.NoError(t, s.Shutdown(t.Context()))
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			assert.Empty(t, entries, "it has cleaned up")
		}},
		{name: "a killed server has left its socket", prepare: leaveSocket},
		{name: "the socket has gone", prepare: func(t *testing.T, dir string) {
			leaveSocket(t, dir)
			require.NoError(t, os.Remove(filepath.Join(dir, "control.sock")))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tt.prepare(t, dir)
			_, err := admin.Dial(dir)
			assert.ErrorIs(t, err, admin.ErrNoServer)
			assert.ErrorContains(t, err, dir)

			start(t, dir, http.NewServeMux()) // and stale files do not matter
			c, err := admin.Dial(dir)
			require.NoError(t, err)
			require.NoError(t, c.Close())
		})
	}
}

func TestDialSaysWhichFileIsDamaged(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "control.json")
	require.NoError(t, os.WriteFile(path, []byte("{"), 0o600))
	_, err := admin.Dial(dir)
	assert.NotErrorIs(t, err, admin.ErrNoServer)
	assert.ErrorContains(t, err, path)
}

func TestASecondServerIsRefused(t *testing.T) {
	dir := t.TempDir()
	start(t, dir, http.NewServeMux())
	_, err := admin.Start(dir, http.NewServeMux(), nil)
	assert.ErrorIs(t, err, admin.ErrInUse)
	assert.ErrorContains(t, err, dir)
	_, err = admin.Dial(dir)
	assert.NoError(t, err, "the first one goes on")
}

func TestALongPathPutsTheSocketElsewhere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	require.NoError(t, os.MkdirAll(dir, 0o700))
	s, err := admin.Start(dir, http.NewServeMux(), nil)
	require.NoError(t, err)

	socket := readPlace(t, dir).Socket
	assert.False(t, strings.HasPrefix(socket, dir), socket)
	info, err := os.Stat(filepath.Dir(socket))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	c, err := admin.Dial(dir)
	require.NoError(t, err)
	require.NoError(t, c.Close())

	require.NoError(t, s.Shutdown(t.Context()))
	assert.NoDirExists(t, filepath.Dir(socket))
}

func TestStartSaysWhyItCannotListen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "absent")
	_, err := admin.Start(dir, http.NewServeMux(), nil)
	assert.ErrorContains(t, err, dir)
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestShutdownWaitsForTheCommandUnderWay(t *testing.T) {
	dir := t.TempDir()
	entered, release := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.Handle("POST /slow", admin.Handler(func(http.ResponseWriter, *http.Request) (any, error) {
		close(entered)
		<-release
		return "done", nil
	}))
	s, err := admin.Start(dir, mux, nil)
	require.NoError(t, err)
	c, err := admin.Dial(dir)
	require.NoError(t, err)

	answer := make(chan error, 1)
	go func() {
		var out string
		answer <- c.Do(context.Background(), http.MethodPost, "/slow", nil, &out)
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(context.Background()) }()
	close(release)
	assert.NoError(t, <-answer)
	assert.NoError(t, <-stopped)
}

func TestShutdownGivesUpWhenItsTimeIsOver(t *testing.T) {
	entered := make(chan struct{})
	mux := http.NewServeMux()
	mux.Handle("POST /stuck", admin.Handler(func(_ http.ResponseWriter, r *http.Request) (any, error) {
		close(entered)
		<-r.Context().Done()
		return nil, r.Context().Err()
	}))
	dir := t.TempDir()
	s, err := admin.Start(dir, mux, nil)
	require.NoError(t, err)
	c, err := admin.Dial(dir)
	require.NoError(t, err)
	answer := make(chan error, 1)
	go func() { answer <- c.Do(context.Background(), http.MethodPost, "/stuck", nil, nil) }()
	<-entered

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, s.Shutdown(ctx), context.Canceled)
	assert.Error(t, <-answer)
}

func TestDoTellsWhatIsNoAnswerOfOurs(t *testing.T) {
	dir := t.TempDir()
	mux := http.NewServeMux()
	mux.Handle("GET /broken", admin.Handler(func(http.ResponseWriter, *http.Request) (any, error) {
		return nil, errors.New("the disk is full")
	}))
	start(t, dir, mux)
	c, err := admin.Dial(dir)
	require.NoError(t, err)
	defer c.Close()

	assert.ErrorContains(t, c.Do(t.Context(), http.MethodGet, "/unknown", nil, nil), "404")
	assert.EqualError(t, c.Do(t.Context(), http.MethodGet, "/broken", nil, nil), "the disk is full")
}

// start runs a server until the test ends.
func start(t *testing.T, dir string, h http.Handler) {
	t.Helper()
	s, err := admin.Start(dir, h, nil)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		assert.NoError(t, s.Shutdown(ctx))
	})
}

// leaveSocket leaves the same files as kill -9: a socket and control.json without a server.
func leaveSocket(t *testing.T, dir string) {
	socket := filepath.Join(dir, "control.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	b, err := json.Marshal(map[string]any{"socket": socket, "pid": 1})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "control.json"), b, 0o600))
}

type place struct {
	Socket string
	PID    int
}

func readPlace(t *testing.T, dir string) place {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "control.json"))
	require.NoError(t, err)
	var p place
	require.NoError(t, json.Unmarshal(b, &p))
	return p
}

func newProjects(o admin.Options) (*admin.Projects, *memstore.Store) {
	s := memstore.New()
	return admin.NewProjects(s, o), s
}
