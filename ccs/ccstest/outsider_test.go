package ccstest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A module of a stranger compiles against the clients and this package, and its tests pass. If this
// fails after a change of go.mod, run "go mod tidy" in testdata/outsider.
func TestAStrangersModule(t *testing.T) {
	t.Parallel()
	args := []string{"test", "-count=1"}
	if raceDetector {
		args = append(args, "-race")
	}
	run := exec.CommandContext(t.Context(), "go", append(args, "./...")...)
	run.Dir = filepath.Join("..", "..", "testdata", "outsider")
	run.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
	out, err := run.CombinedOutput()
	require.NoError(t, err, "%s", out)
}
