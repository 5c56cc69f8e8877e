//go:build interop

package ccstest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/ccs/server"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
)

// httpInteropReport is what a program prints that sends over HTTP.
type httpInteropReport struct {
	Client       string `json:"client"`
	Version      string `json:"version"`
	Single       int    `json:"single"`       // accepted of one
	Multicast    int    `json:"multicast"`    // accepted of a thousand, one with a bogus token
	Bogus        string `json:"bogus"`        // the answer for that
	Topic        bool   `json:"topic"`        // a message to a topic was accepted
	Unauthorized bool   `json:"unauthorized"` // a wrong key was refused
	Retried      int    `json:"retried"`      // accepted of one that was answered 503 at first
	Form         int    `json:"form"`         // accepted of one as a form
}

// onceUnavailable is a store that cannot take a message at first if that has "fail-once" in it.
type onceUnavailable struct {
	*diskstore.Store
	failed atomic.Bool
}

// Put implements store.Queue.
func (s *onceUnavailable) Put(ctx context.Context, batch []store.Entry, now time.Time) ([]store.Outcome, error) {
	for i := range batch {
		if bytes.Contains(batch[i].Body, []byte("fail-once")) && s.failed.CompareAndSwap(false, true) {
			return nil, store.ErrUnavailable
		}
	}
	return s.Store.Put(ctx, batch, now)
}

// Published clients over HTTP, unmodified and in processes of their own (CCS 6, 10.3).
func TestInteropHTTP(t *testing.T) {
	requireInteropTools(t)
	programs := buildInterop(t)
	for _, row := range []struct {
		want    httpInteropReport
		program []string
	}{
		{httpInteropReport{Client: "node-gcm", Version: "1.1.4"}, []string{"node", "node/with_node_gcm.mjs"}},
		{httpInteropReport{Client: "github.com/appleboy/go-fcm", Version: "v0.1.6"}, []string{filepath.Join(programs, "gofcm")}},
		{httpInteropReport{Client: "curl", Form: 1}, []string{"curl/send.sh"}},
	} {
		t.Run(filepath.Base(row.want.Client), func(t *testing.T) {
			t.Parallel()
			st := &onceUnavailable{}
			s := ccstest.Start(t, ccstest.Disk, func(c *server.Config) {
				c.OpenDisk = func(dir string) (store.Store, error) {
					var err error
					st.Store, err = diskstore.Open(dir, diskstore.Options{})
					return st, err
				}
			})
			d := s.Enrol("com.example.app")
			_, in := receive(s, d, mcsclient.Options{})

			ctx, cancel := context.WithTimeout(t.Context(), interopTimeout)
			defer cancel()
			argv := append(slices.Clone(row.program), "--url", s.HTTPURL(), "--ca", s.CAFile(), "--key", s.Key, "--token", d.Token)
			run := exec.CommandContext(ctx, argv[0], argv[1:]...)
			run.Dir = interopDir
			run.Env = slices.DeleteFunc(append(os.Environ(), "NODE_EXTRA_CA_CERTS="+s.CAFile()), func(kv string) bool {
				return strings.Contains(strings.ToLower(strings.SplitN(kv, "=", 2)[0]), "_proxy")
			})
			var stderr bytes.Buffer
			run.Stderr = &stderr
			out, err := run.Output()
			require.NoError(t, err, "%s", &stderr)
			var got httpInteropReport
			require.NoError(t, json.Unmarshal(out, &got), "%s", out)

			want := row.want
			want.Single, want.Multicast, want.Bogus, want.Topic, want.Unauthorized, want.Retried = 1, 999, "InvalidRegistration", true, true, 1
			if want.Version == "" {
				assert.NotEmpty(t, got.Version)
				want.Version = got.Version
			}
			assert.Equal(t, want, got)
			counts := map[string]int{}
			for _, id := range in.wait(t, 1001+want.Form) {
				counts[id]++
			}
			delete(counts, "form")
			assert.Equal(t, map[string]int{"single": 1, "multicast": 999, "fail-once": 1}, counts)
			t.Logf("%+v", got)
		})
	}
}
