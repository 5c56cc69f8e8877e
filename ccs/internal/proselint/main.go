package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const listName = "ccs/internal/proselint/complies.txt"

func main() {
	verbose := flag.Bool("v", false, "print the findings of packages that are not listed, too")
	update := flag.Bool("update", false, "add packages without findings to the list")
	flag.Parse()
	broken, err := run(os.Stdout, *verbose, *update)
	if err != nil {
		fmt.Fprintln(os.Stderr, "proselint:", err)
		os.Exit(2)
	}
	if broken {
		os.Exit(1)
	}
}

func run(w io.Writer, verbose, update bool) (broken bool, err error) {
	root, err := moduleRoot()
	if err != nil {
		return false, err
	}
	module := os.DirFS(root)
	raw, err := fs.ReadFile(module, listName)
	if err != nil {
		return false, err
	}
	listed, err := parseList(string(raw))
	if err != nil {
		return false, err
	}
	packages, findings, err := scan(module)
	if err != nil {
		return false, err
	}
	if update {
		listed.grow(packages, findings)
		return false, os.WriteFile(filepath.Join(root, listName), []byte(listed.String()), 0o644)
	}
	return report(w, listed, findings, verbose), nil
}

// report prints the findings that violate the list, and then the number of the others.
func report(w io.Writer, listed list, findings []finding, verbose bool) (broken bool) {
	others := map[string]int{}
	for _, f := range findings {
		enforced := listed.has(f.pkg, f.rule)
		broken = broken || enforced
		if enforced || verbose {
			fmt.Fprintf(w, "%s:%d: %s: %s\n", f.pos.Filename, f.pos.Line, f.rule, f.text)
		}
		if !enforced {
			others[f.rule]++
		}
	}
	for _, rule := range rules {
		if n := others[rule]; n > 0 {
			fmt.Fprintf(w, "%s: %d findings in packages that are not listed for it yet\n", rule, n)
		}
	}
	return broken
}

// scan checks all Go files of a module, but no other modules in it and no generated code.
func scan(module fs.FS) (packages []string, findings []finding, err error) {
	seen := map[string]bool{}
	err = fs.WalkDir(module, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			base := path.Base(name)
			if name != "." && (strings.HasPrefix(base, ".") || base == "node_modules" || base == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		raw, err := fs.ReadFile(module, name)
		if err != nil || bytes.HasPrefix(raw, []byte("// Code generated")) {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, name, raw, parser.ParseComments)
		if err != nil {
			return err
		}
		pkg := path.Dir(name)
		seen[pkg] = true
		findings = append(findings, check(pkg, files, file)...)
		return nil
	})
	return slices.Sorted(maps.Keys(seen)), findings, err
}

// moduleRoot returns the directory of the go.mod that the working directory is below.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
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
