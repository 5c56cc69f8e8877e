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

// unshare returns a command line that runs a command with mounts that other processes do not see.
func unshare(args ...string) []string {
	if os.Geteuid() != 0 {
		return append([]string{"unshare", "--mount", "--map-root-user"}, args...)
	}
	return append([]string{"unshare", "--mount"}, args...)
}

// ownAddress is a loopback address for this run of the test only, because the clients use
// well-known ports.
var ownAddress = fmt.Sprintf("127.77.%d.%d", os.Getpid()>>8&0xff, os.Getpid()&0xff)

// withHosts returns a command line that runs a command for which some names stand for ownAddress.
// It is for programs whose server cannot be configured.
func withHosts(t *testing.T, names []string, args ...string) []string {
	t.Helper()
	hosts := filepath.Join(t.TempDir(), "hosts")
	require.NoError(t, os.WriteFile(hosts, []byte(ownAddress+" "+strings.Join(names, " ")+"\n"), 0o644))
	return unshare(append([]string{"sh", "-c", `mount --bind "$0" /etc/hosts && exec "$@"`, hosts}, args...)...)
}
