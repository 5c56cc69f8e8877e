package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEverySectionIsCovered fails when a section loses the last test, vector or golden stream that named it.
func TestEverySectionIsCovered(t *testing.T) {
	c, err := scan(os.DirFS("../../.."))
	require.NoError(t, err)
	for _, s := range sections {
		if s.without == "" {
			assert.NotEmpty(t, c[s.number], "section %s, %s: no test, vector or golden stream names it any more", s.number, s.title)
		} else {
			assert.Empty(t, c[s.number], "section %s, %s: is named now, so that its reason in sections.go has to go", s.number, s.title)
		}
	}
}

func TestReferences(t *testing.T) {
	cites := func(s string) string { return "C" + "CS " + s } // or this test would cover what it does not
	devices := strings.NewReplacer("@", "D"+"EV ")
	for _, row := range []struct{ name, text, want string }{
		{"one", "the form (" + cites("3.5") + ")", "3.5"},
		{"several", cites("1.8, 1.10 and 2.1; 3.3"), "1.10 1.8 2.1 3.3"},
		{"a range", cites("1.3 to 1.6"), "1.3 1.4 1.5 1.6"},
		{"a version is no section", cites("1.3, slixmpp 1.8"), "1.3"},
		{"rules and rows", cites("1.3 rules 1 to 3, 9 no. 7; 2.6"), "1.3 2.6 9"},
		{"another specification", cites("3.5, @7.2, 8"), "3.5 @7.2 @8"},
		{"a range there", "@7.1 to 7.3", "@7.1 @7.2 @7.3"},
		{"the sentence goes on", cites("5.5, and the note of the 100-message limit. 3 of them"), "5.5"},
		{"folded", "as in " + cites("4.1,") + "\n\t// 4.2", "4.1 4.2"},
		{"a chapter stands for itself", cites("5"), "5"},
		{"none", "RFC 3.1, section 2.1", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			assert.Equal(t, devices.Replace(row.want), strings.Join(references(devices.Replace(row.text)), " "))
		})
	}
}

func TestScan(t *testing.T) {
	spec := "C" + "CS "
	file := func(s string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(strings.ReplaceAll(s, "SPEC ", spec))}
	}
	c, err := scan(fstest.MapFS{
		"go.mod":                        file("module m"),
		"a/a_test.go":                   file("package a\n\n// SPEC 1.1\n\n// TestOne is for SPEC 1.2.\nfunc TestOne() {\n\t// SPEC 1.3\n}\n\n// SPEC 1.4\nfunc helper() {}\n"),
		"a/a.go":                        file("package a // SPEC 1.5\n"),
		"testdata/streams/x.txt":        file("source: SPEC 1.6\ncomment: not as in SPEC 1.7\n\nsource: SPEC 1.8\n"),
		"testdata/streams/README.md":    file("source: SPEC 1.9\n"),
		"testdata/other/go.mod":         file("module other"),
		"testdata/other/o_test.go":      file("package o\n\n// SPEC 1.10\nfunc TestOther() {}\n"),
		"node_modules/b/testdata/y.txt": file("source: SPEC 1.11\n\n"),
	})
	require.NoError(t, err)
	assert.Equal(t, coverage{"1.2": {"a.TestOne"}, "1.3": {"a.TestOne"}, "1.6": {"testdata/streams/x"}}, c)
}

func TestTable(t *testing.T) {
	var b strings.Builder
	coverage{"1.2": {"a.TestOne", "a.TestTwo", "testdata/x"}}.print(&b)
	assert.Contains(t, b.String(), "1.2     TLS\n        a. TestOne TestTwo\n        testdata/ x\n1.3     the client's stream header\n        none\n")
	assert.Contains(t, b.String(), fmt.Sprintf("1 of %d sections", len(sections)))
}

func TestCompare(t *testing.T) {
	var b strings.Builder
	last := ""
	for _, s := range appServerSections {
		in, point, _ := strings.Cut(s.number, ".")
		if in != last {
			fmt.Fprintf(&b, "## %s. Chapter\n\n", in)
		}
		last = in
		switch {
		case in == "5":
			fmt.Fprintf(&b, "%s. text\n", point)
		case point != "":
			fmt.Fprintf(&b, "### %s Title\n\n1. a point\n", s.number)
		}
	}
	require.NoError(t, compare([]byte(b.String())))
	require.ErrorContains(t, compare([]byte(strings.Replace(b.String(), "### 2.5 Title", "", 1))), "2.4 2.5 2.6")
}
