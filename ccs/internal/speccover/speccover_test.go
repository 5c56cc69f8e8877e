package main

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var module = os.DirFS("../../..")

func pagesOf(t *testing.T) spec {
	t.Helper()
	s, err := readSpec(module)
	require.NoError(t, err)
	return s
}

// TestEverySectionIsCovered fails when a section loses the last test, vector or golden stream that
// named it.
func TestEverySectionIsCovered(t *testing.T) {
	s := pagesOf(t)
	c, err := s.scan(module)
	require.NoError(t, err)
	for _, x := range s {
		switch reason, exact := reasonWithout(x.number); {
		case !x.leaf:
		case reason == "":
			assert.NotEmpty(t, c[x.number], "section %s, %s: no test, vector or golden stream names it any more", x.number, x.title)
		case exact:
			assert.Empty(t, c[x.number], "section %s, %s: is named now, so its reason in sections.go must go", x.number, x.title)
		}
	}
	for number := range without {
		assert.True(t, slices.ContainsFunc(s, func(x section) bool {
			return x.number == number || strings.HasPrefix(x.number, number+" ")
		}), "sections.go has a reason for %s, which no page has", number)
	}
}

// TestEveryReferenceResolves names each reference to a section that no page has.
func TestEveryReferenceResolves(t *testing.T) {
	all, err := pagesOf(t).dangling(module)
	require.NoError(t, err)
	for _, one := range all {
		t.Error(one)
	}
}

// TestGlossaryNamesThePages compares the glossary's list of pages, and the core's doc, with the
// list here.
func TestGlossaryNamesThePages(t *testing.T) {
	raw, err := fs.ReadFile(module, "ccs/docs/glossary.md")
	require.NoError(t, err)
	for _, p := range pages {
		assert.Contains(t, string(raw), fmt.Sprintf("| `%s` | [spec/%s](spec/%s) |", p.name, p.file, p.file))
	}
	raw, err = fs.ReadFile(module, "ccs/doc.go")
	require.NoError(t, err)
	for _, p := range pages[:2] {
		assert.Contains(t, string(raw), p.name+" n")
		assert.Contains(t, string(raw), pagesDir+"/"+p.file)
	}
}

func TestPages(t *testing.T) {
	s := readPage("CCS", `# Title

1. no section yet

## 0. How to read

## 1. Layer

### 1.1 Endpoints – of `+"`servers`"+`

1. a rule
2. another

### 1.10 The end

| 7 | a row |

## 5. Semantics

1. **Lifetime.** Some text
   goes on.
2. **100 messages** per app.

## 6. Points without titles

1. **Bold** first.
2. Then not.
`)
	var lines []string
	for _, x := range s {
		lines = append(lines, fmt.Sprint(x.number, "|", x.title, "|", x.leaf, "|", len(x.items)))
	}
	assert.Equal(t, []string{
		"CCS 0|How to read|true|0", "CCS 1|Layer|false|0", "CCS 1.1|Endpoints – of servers|true|2", "CCS 1.10|The end|true|1",
		"CCS 5|Semantics|false|2", "CCS 5.1|Lifetime|true|0", "CCS 5.2|100 messages|true|0", "CCS 6|Points without titles|true|2",
	}, lines)
}

func TestReferences(t *testing.T) {
	s := pagesOf(t)
	names := strings.NewReplacer("@C", "CCS", "@D", "DEV")
	for _, row := range []struct{ name, text, want string }{
		{"one", "the form (@C 3.5)", "@C 3.5"},
		{"several", "@C 1.8, 1.10 and 2.1; 3.3", "@C 1.10|@C 1.8|@C 2.1|@C 3.3"},
		{"a range", "@C 1.3 to 1.6", "@C 1.3|@C 1.4|@C 1.5|@C 1.6"},
		{"a version is no section", "@C 1.3, slixmpp 1.8", "@C 1.3"},
		{"rules and rows", "@C 1.3 rules 1 to 3, 9 no. 7; 2.6", "@C 1.3 no. 1 to 3|@C 2.6|@C 9 no. 7"},
		{"another page", "@C 3.5, @D 7.2, 8", "@C 3.5|@D 7.2|@D 8"},
		{"a range there", "@D 7.1 to 7.3", "@D 7.1|@D 7.2|@D 7.3"},
		{"the sentence goes on", "@C 5.5, and the note of the 100-message limit. 3 of them", "@C 5.5"},
		{"folded", "as in @C 4.1,\n\t// 4.2", "@C 4.1|@C 4.2"},
		{"a chapter stands for itself", "@C 5", "@C 5"},
		{"a page by its file", "`ccs.md` 6.5 and docs/spec/device.md §7.2", "@C 6.5|@D 7.2"},
		{"none", "RFC 3.1, section 2.1", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			var got []string
			for _, r := range s.references(names.Replace(row.text)) {
				got = append(got, r.String())
			}
			assert.Equal(t, names.Replace(row.want), strings.Join(got, "|"))
		})
	}
}

func TestDangling(t *testing.T) {
	s := readPage("CCS", "## 1. A\n\n### 1.1 B\n\n1. one\n")
	all, err := s.dangling(fstest.MapFS{
		"a.go":              {Data: []byte("// CCS 1.1, CCS 1.2, CCS 1.1 no. 1, CCS 1.1 rule 2\n")},
		"node_modules/b.go": {Data: []byte("CCS 8")},
		"c.bin":             {Data: []byte("CCS 8")},
	})
	require.NoError(t, err)
	assert.Equal(t, []string{
		"a.go: CCS 1.1 no. 2: the section has no point or row 2",
		"a.go: CCS 1.2: there is no such section",
	}, all)
}

func TestScan(t *testing.T) {
	spec := "CCS "
	file := func(s string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(strings.ReplaceAll(s, "SPEC ", spec))}
	}
	c, err := readPage("CCS", "## 1. A\n").scan(fstest.MapFS{
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
	assert.Equal(t, coverage{spec + "1.2": {"a.TestOne"}, spec + "1.3": {"a.TestOne"}, spec + "1.6": {"testdata/streams/x"}}, c)
}

func TestTable(t *testing.T) {
	var b strings.Builder
	s := readPage("CCS", "## 1. Layer\n### 1.1 Endpoints\n### 1.2 TLS\n### 1.3 Stream\n## 10. Sources\n### 10.1 List\n")
	s.print(&b, coverage{"CCS 1.2": {"a.TestOne", "a.TestTwo", "testdata/x"}})
	assert.Equal(t, `CCS 1.1  Endpoints
         none: `+without["CCS 1.1"]+`
CCS 1.2  TLS
         a. TestOne TestTwo
         testdata/ x
CCS 1.3  Stream
         none
1 of 3 sections are named by a test, a vector or a golden stream
`, b.String())
}
