package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write what the commands say into the README")

const readme = "../../README.md"

// The README says what the commands' help says. With -update it is made so.
func TestReadmeSaysWhatTheHelpSays(t *testing.T) {
	b, err := os.ReadFile(readme)
	require.NoError(t, err)
	have := string(b)
	want := replaceSection(t, replaceSection(t, have, "settings", settingsTable(t)), "help", helpBlocks(t))
	if *update {
		require.NoError(t, os.WriteFile(readme, []byte(want), 0o644))
		return
	}
	assert.Equal(t, want, have, "run: go test ./cmd/ccs -run Readme -update")
}

// replaceSection puts text between <!-- name --> and the next <!-- end -->.
func replaceSection(t *testing.T, doc, name, text string) string {
	t.Helper()
	begin := "<!-- " + name + " -->\n"
	before, rest, ok := strings.Cut(doc, begin)
	require.True(t, ok, "the README has no %q", begin)
	_, after, ok := strings.Cut(rest, "<!-- end -->\n")
	require.True(t, ok, "the README does not end its %q", begin)
	return before + begin + text + "<!-- end -->\n" + after
}

func helpBlocks(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, command := range append([][]string{nil}, commands(t)...) {
		args := append(command, "--help")
		fmt.Fprintf(&b, "```\n$ ccs %s\n%s```\n\n", strings.Join(args, " "), ccs(t, args...).stdout)
	}
	return "\n" + b.String()
}

func settingsTable(t *testing.T) string {
	t.Helper()
	parser, err := newParser(&cli{})
	require.NoError(t, err)
	var b strings.Builder
	b.WriteString("\n| flag | variable | key | default |\n|---|---|---|---|\n")
	for _, n := range parser.Model.Children {
		if n.Name != "serve" {
			continue
		}
		for _, f := range n.Flags {
			value := "none"
			if f.Default != "" {
				value = "`" + f.Default + "`"
			}
			fmt.Fprintf(&b, "| `--%s` | `%s` | `%s` | %s |\n", f.Name, f.Envs[0], f.Name, value)
		}
	}
	b.WriteString("\n")
	return b.String()
}
