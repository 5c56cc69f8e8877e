package redistest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// downAfter is how long a sentinel waits for a server before it makes a replica the primary.
const downAfter = time.Second

// Replica starts a replica of a server, and waits until it follows.
func Replica(t testing.TB, primary *Server, flags ...string) *Server {
	t.Helper()
	_, port, err := net.SplitHostPort(primary.Addr)
	require.NoError(t, err)
	s := Single(t, append([]string{"--replicaof", host + " " + port}, flags...)...)
	s.follows(primary)
	return s
}

// follows waits until a replica has all data of its primary and gets new data.
func (s *Server) follows(primary *Server) {
	s.t.Helper()
	s.waitFor("INFO replication", "role:slave", "master_link_status:up")
	_, own, err := net.SplitHostPort(s.Addr)
	require.NoError(s.t, err)
	primary.waitFor("INFO replication", "port="+own+",state=online") // which it is only a moment later
}

// Sentinel starts a sentinel that watches a primary under a name and decides without others.
func Sentinel(t testing.TB, name string, primary *Server) *Server {
	t.Helper()
	_, port, err := net.SplitHostPort(primary.Addr)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	conf := fmt.Sprintf("sentinel monitor %s %s %s 1\nsentinel down-after-milliseconds %s %d\n",
		name, host, port, name, downAfter.Milliseconds())
	require.NoError(t, os.WriteFile(file, []byte(conf), 0o600))
	return start(t, []string{file, "--sentinel"})
}
