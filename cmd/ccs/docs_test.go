package main

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write what the commands say into the page of the command line")

const (
	repository = "../.."
	readme     = repository + "/README.md"
	cliPage    = repository + "/ccs/docs/cli.md"
)

// The page of the command line has the help and the settings of the commands; -update rewrites it.
func TestDocsSayWhatTheHelpSays(t *testing.T) {
	b, err := os.ReadFile(cliPage)
	require.NoError(t, err)
	have := string(b)
	want := replaceSection(t, replaceSection(t, have, "settings", settingsTable(t)), "help", helpBlocks(t))
	if *update {
		require.NoError(t, os.WriteFile(cliPage, []byte(want), 0o644))
		return
	}
	assert.Equal(t, want, have, "run: go test ./cmd/ccs -run TestDocs -update")
}

// A README longer than a few screens is not read.
func TestReadmeIsShort(t *testing.T) {
	b, err := os.ReadFile(readme)
	require.NoError(t, err)
	assert.LessOrEqual(t, len(b), 8<<10)
	for _, command := range []string{"make run ", "make test "} {
		assert.Contains(t, string(b), "\n"+command)
	}
}

// flagName matches a flag of ccs in a line of a page: `--name`.
var flagName = regexp.MustCompile("`(?:ccs [a-z ]+)?(--[a-z][a-z0-9-]*)")

// Every flag that a page names is a flag of some command.
func TestDocsNameRealFlags(t *testing.T) {
	known := helpBlocks(t)
	for _, page := range pages(t) {
		b, err := os.ReadFile(page)
		require.NoError(t, err)
		if strings.Contains(page, "/spec/") || strings.Contains(page, "/clients/") {
			continue // those name flags of other programs
		}
		for _, m := range flagName.FindAllStringSubmatch(string(b), -1) {
			assert.Contains(t, known, " "+m[1], "%s names a flag that no command has", page)
		}
	}
}

// link is a relative one: a file or directory of the repository.
var link = regexp.MustCompile(`\]\(([^):#]+)(?:#[^)]*)?\)`)

// Every link from page to page leads to a file.
func TestDocsLinkToFiles(t *testing.T) {
	for _, page := range pages(t) {
		b, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			_, err := os.Stat(filepath.Join(filepath.Dir(page), filepath.FromSlash(m[1])))
			assert.NoError(t, err, "link in %s", page)
		}
	}
}

// pages are the README and everything below ccs/docs and .github.
func pages(t *testing.T) []string {
	t.Helper()
	all := []string{readme}
	for _, dir := range []string{repository + "/ccs/docs", repository + "/.github"} {
		require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".md") {
				all = append(all, filepath.ToSlash(path))
			}
			return err
		}))
	}
	return all
}

// replaceSection puts text between <!-- name --> and the next <!-- end -->.
func replaceSection(t *testing.T, doc, name, text string) string {
	t.Helper()
	begin := "<!-- " + name + " -->\n"
	before, rest, ok := strings.Cut(doc, begin)
	require.True(t, ok, "%s has no %q", cliPage, begin)
	_, after, ok := strings.Cut(rest, "<!-- end -->\n")
	require.True(t, ok, "%s does not end its %q", cliPage, begin)
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

// derivedDefault is the end of the help of a setting whose default is no constant.
var derivedDefault = regexp.MustCompile(`Default: ([^.]*)\.( 0 for |$)`)

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
			if m := derivedDefault.FindStringSubmatch(f.Help); m != nil {
				value = m[1]
			}
			if f.Default != "" {
				value = "`" + f.Default + "`"
			}
			fmt.Fprintf(&b, "| `--%s` | `%s` | `%s` | %s |\n", f.Name, f.Envs[0], f.Name, value)
		}
	}
	b.WriteString("\n")
	return b.String()
}
