package diskstore_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
)

const (
	crashDir    = "OPENCCS_TEST_CRASH_DIR"
	crashRound  = "OPENCCS_TEST_CRASH_ROUND"
	crashRounds = 12
	crashQueues = 7
)

// TestCrashChild is the process that TestCrash kills. It puts batches from several goroutines, and
// acknowledges some entries. It writes the promises of the store to stdout, one on each line.
func TestCrashChild(t *testing.T) {
	dir := os.Getenv(crashDir)
	if dir == "" {
		t.Skip("run by TestCrash")
	}
	s, err := diskstore.Open(dir, diskstore.Options{MemTableBytes: 256 << 10})
	require.NoError(t, err)
	var out sync.Mutex
	say := func(lines string) {
		out.Lock()
		defer out.Unlock()
		_, _ = os.Stdout.WriteString(lines) // the parent may be gone
	}
	say("ready\n")
	var g errgroup.Group
	for p := range 4 {
		g.Go(func() error {
			for n := 0; ; n++ {
				k := device(n % crashQueues)
				batch := make([]store.Entry, 1+n%17)
				for i := range batch {
					batch[i] = entry(k, fmt.Sprintf("%s.%d.%d.%d", os.Getenv(crashRound), p, n, i))
					batch[i].Dedup, batch[i].DedupFor = string(batch[i].Body), time.Hour
				}
				outcomes, err := s.Put(t.Context(), batch, start)
				if err != nil {
					return err
				}
				var lines strings.Builder
				for i, o := range outcomes {
					fmt.Fprintf(&lines, "put %d %d %s\n", k.ID, o.ID, batch[i].Body)
				}
				say(lines.String())
				if n%5 == 0 {
					// From here on the entry may exist or not.
					say(fmt.Sprintf("ack %d %d\n", k.ID, outcomes[0].ID))
					if _, err := s.Ack(t.Context(), k, outcomes[0].ID); err != nil {
						return err
					}
				}
			}
		})
	}
	require.NoError(t, g.Wait())
}

// TestCrash kills a process that puts, again and again, and checks the directory against the
// promises of the process (CCS 3.2).
func TestCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for some seconds")
	}
	type promise struct {
		key  store.Key
		id   store.ID
		body string
	}
	dir := filepath.Join(t.TempDir(), "store")
	promised := map[string]promise{} // by body
	bodyOf := map[string]string{}    // by queue and ID: no ID may be given out twice
	maybe := map[string]bool{}       // bodies that may have been acknowledged
	for round := range crashRounds {
		for _, line := range runAndKill(t, dir, round) {
			var k store.Key
			k.Kind = store.KindDevice
			var id store.ID
			var body string
			if n, _ := fmt.Sscanf(line, "put %d %d %s", &k.ID, &id, &body); n == 3 {
				place := fmt.Sprint(k, id)
				require.Empty(t, bodyOf[place], "ID %d of %s was given out for %s too", id, k, body)
				bodyOf[place] = body
				promised[body] = promise{k, id, body}
			} else if n, _ := fmt.Sscanf(line, "ack %d %d", &k.ID, &id); n == 2 {
				maybe[bodyOf[fmt.Sprint(k, id)]] = true
			}
		}
		found := map[string]bool{}
		s := open(t, dir)
		for n := range crashQueues {
			entries, err := s.Claim(t.Context(), device(n), 1, 1<<30, start)
			require.NoError(t, err)
			last := store.ID(0)
			for _, e := range entries {
				body := string(e.Body)
				require.Greater(t, e.ID, last, "order")
				last = e.ID
				require.False(t, found[body], "%s is there twice", body)
				found[body] = true
				if p, ok := promised[body]; ok {
					require.Equal(t, p, promise{e.Key, e.ID, body})
				}
				require.Equal(t, body, e.Dedup, "a record that nobody wrote")
				place := fmt.Sprint(e.Key, e.ID)
				require.Contains(t, []string{"", body}, bodyOf[place])
				bodyOf[place] = body // not promised, but given out
			}
		}
		for body := range promised {
			require.True(t, found[body] || maybe[body], "round %d: %s was promised and is gone", round, body)
		}
		require.NoError(t, s.Close())
	}
	assert.NotEmpty(t, promised)
	t.Logf("%d promises kept through %d crashes", len(promised), crashRounds)
}

// runAndKill starts the child and kills it at some moment. It returns the whole lines that it
// wrote.
func runAndKill(t *testing.T, dir string, round int) (lines []string) {
	child := exec.Command(os.Args[0], "-test.run=^TestCrashChild$", "-test.timeout=1m")
	child.Env = append(os.Environ(), crashDir+"="+dir, fmt.Sprint(crashRound, "=", round))
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			break // a line without its end was not promised
		}
		if line == "ready\n" {
			time.AfterFunc(time.Duration(20+rand.IntN(150))*time.Millisecond, func() { _ = child.Process.Kill() })
		}
		lines = append(lines, line)
	}
	require.Error(t, child.Wait(), "the child must have been killed")
	require.NotEmpty(t, lines, "the child did not start")
	return lines
}
