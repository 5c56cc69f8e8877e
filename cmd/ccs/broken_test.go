package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
)

// storeBreaks is an environment variable of the program. It makes the embedded store break once
// breakNow is in its directory, as the engine's Fatalf does. The store then closes, or hangs.
const (
	storeBreaks = "OPENCCS_TEST_STORE_BREAKS"
	breakNow    = "break-now"
	thenCloses  = "closes"
	thenHangs   = "hangs"
)

// breakStore prepares the store of the program before it starts.
func breakStore(how string) {
	if how == "" {
		return
	}
	failedEnd = 500 * time.Millisecond
	openDisk = func(dir string) (store.Store, error) {
		s := &breaking{Store: memstore.New(), hangs: how == thenHangs, broken: make(chan struct{})}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		go s.watch(filepath.Join(dir, breakNow))
		return s, nil
	}
}

// breaking is a store that only a new process can repair after it has broken.
type breaking struct {
	*memstore.Store
	hangs  bool
	broken chan struct{}
}

func (s *breaking) watch(file string) {
	for {
		if _, err := os.Stat(file); err == nil {
			close(s.broken)
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func (s *breaking) Broken() <-chan struct{} { return s.broken }

func (s *breaking) Health() error {
	select {
	case <-s.broken:
		return errors.Join(store.ErrUnavailable, errors.New("the storage engine cannot go on"))
	default:
		return nil
	}
}

func (s *breaking) Close() error {
	if s.hangs {
		select {}
	}
	return s.Store.Close()
}

// A store that only a new process can repair ends the program with exit code 1, so that its
// supervisor starts it again. That takes a bounded time, even if the store does not close.
func TestABrokenStoreEndsTheProgram(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ how, says string }{
		{thenCloses, "the storage engine cannot go on"},
		{thenHangs, "the failed server does not end, exiting"},
	} {
		t.Run(row.how, func(t *testing.T) {
			t.Parallel()
			dir, ready := t.TempDir(), filepath.Join(t.TempDir(), "ready.json")
			program := exec.CommandContext(t.Context(), os.Args[0], "serve", "--data", dir, "--store", "disk:"+filepath.Join(dir, "store"),
				"--xmpp-listen", "127.0.0.1:0", "--mcs-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--ready-file", ready)
			program.Env = append(os.Environ(), asProgram+"=1", storeBreaks+"="+row.how)
			var stderr bytes.Buffer
			program.Stderr = &stderr
			require.NoError(t, program.Start())
			ended := make(chan error, 1)
			go func() { ended <- program.Wait() }()
			require.Eventually(t, func() bool {
				_, err := os.Stat(ready)
				return err == nil
			}, patience, time.Millisecond)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "store", breakNow), nil, 0o600))
			select {
			case <-ended:
			case <-time.After(patience):
				_ = program.Process.Kill()
				<-ended
				require.FailNow(t, "the program goes on", stderr.String())
			}
			assert.Equal(t, exitFailed, program.ProcessState.ExitCode(), stderr.String())
			assert.Contains(t, stderr.String(), row.says)
			assert.NotContains(t, stderr.String(), "goroutine ")
			assert.NoFileExists(t, ready)
		})
	}
}
