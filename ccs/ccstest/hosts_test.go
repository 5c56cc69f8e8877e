//go:build interop || e2e

package ccstest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// unshare is a command line that runs a command where what it mounts is seen by nobody else.
func unshare(args ...string) []string {
	if os.Geteuid() != 0 {
		return append([]string{"unshare", "--mount", "--map-root-user"}, args...)
	}
	return append([]string{"unshare", "--mount"}, args...)
}

// ownAddress is a loopback address that no other run of the test has, for the sake of well-known ports.
var ownAddress = fmt.Sprintf("127.77.%d.%d", os.Getpid()>>8&0xff, os.Getpid()&0xff)

// withHosts is a command line that runs a command for which some names stand for ownAddress: for programs that can't be
// told where to connect.
func withHosts(t *testing.T, names []string, args ...string) []string {
	t.Helper()
	hosts := filepath.Join(t.TempDir(), "hosts")
	require.NoError(t, os.WriteFile(hosts, []byte(ownAddress+" "+strings.Join(names, " ")+"\n"), 0o644))
	return unshare(append([]string{"sh", "-c", `mount --bind "$0" /etc/hosts && exec "$@"`, hosts}, args...)...)
}
