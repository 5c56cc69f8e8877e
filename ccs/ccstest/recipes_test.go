//go:build interop || e2e

package ccstest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// recipe returns the last code block of a language on a page of ccs/docs/clients, so that the test
// runs the text that readers copy.
func recipe(t *testing.T, page, language string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../docs/clients", page))
	require.NoError(t, err)
	blocks := strings.Split(string(b), "\n```"+language+"\n")
	require.Greater(t, len(blocks), 1, "%s has no block in %s", page, language)
	block, _, ok := strings.Cut(blocks[len(blocks)-1], "\n```\n")
	require.True(t, ok, "a block of %s does not end", page)
	return block + "\n"
}
