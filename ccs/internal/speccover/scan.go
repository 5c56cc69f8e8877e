package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// here is this package. Its tests contain references that do not count.
const here = "ccs/internal/speccover"

// coverage lists for each section number the tests and files that name it.
type coverage map[string][]string

func (c coverage) add(name string, refs []reference) {
	for _, r := range refs {
		if !slices.Contains(c[r.section], name) {
			c[r.section] = append(c[r.section], name)
		}
	}
}

// scan reads the tests and vectors of a module.
func (s spec) scan(module fs.FS) (coverage, error) {
	c := coverage{}
	err := fs.WalkDir(module, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skip(module, name)
		}
		inVectors := strings.HasPrefix(name, "testdata/") || strings.Contains(name, "/testdata/")
		switch {
		case inVectors && path.Ext(name) == ".txt":
			raw, err := fs.ReadFile(module, name)
			if err != nil {
				return err
			}
			c.add(strings.TrimSuffix(name, ".txt"), s.references(sources(string(raw))))
		case !inVectors && strings.HasSuffix(name, "_test.go"):
			return s.addTests(c, module, name)
		}
		return nil
	})
	for number := range c {
		slices.Sort(c[number])
	}
	return c, err
}

// skip excludes other modules inside the module, and the directories of git and Node.
func skip(module fs.FS, dir string) error {
	if dir == "." {
		return nil
	}
	if base := path.Base(dir); strings.HasPrefix(base, ".") || base == "node_modules" || dir == here {
		return fs.SkipDir
	}
	if _, err := fs.Stat(module, path.Join(dir, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

// addTests adds the test functions of a file, with their comments.
func (s spec) addTests(c coverage, module fs.FS, name string) error {
	raw, err := fs.ReadFile(module, name)
	if err != nil {
		return err
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, raw, parser.ParseComments)
	if err != nil {
		return err
	}
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Recv != nil || !isTest(f.Name.Name) {
			continue
		}
		from := f.Pos()
		if f.Doc != nil {
			from = f.Doc.Pos()
		}
		text := raw[files.Position(from).Offset:files.Position(f.End()).Offset]
		c.add(path.Dir(name)+"."+f.Name.Name, s.references(string(text)))
	}
	return nil
}

func isTest(name string) bool {
	return slices.ContainsFunc([]string{"Test", "Fuzz", "Example"}, func(p string) bool { return strings.HasPrefix(name, p) })
}

// moduleRoot returns the nearest directory with a go.mod: dir or one above it.
func moduleRoot(dir string) (string, error) {
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no go.mod here or above")
		}
		dir = parent
	}
}
