package domains_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/domains"
)

// Code that is no test has each name from this package only. Commands may have one in a help text.
func TestEachNameStandsInOnePlace(t *testing.T) {
	const root = "../.."
	names := append(domains.Hosts(), domains.Logins()...)
	names = append(names, domains.Devices)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case d.IsDir() && (rel == "testdata" || rel == "cmd" || rel == "ccs/domains" || strings.HasPrefix(d.Name(), ".") && rel != "."):
			return filepath.SkipDir
		case d.IsDir(), !strings.HasSuffix(rel, ".go"), strings.HasSuffix(rel, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text, _ := strconv.Unquote(lit.Value)
			for _, name := range names {
				if strings.Contains(text, name) && !strings.Contains(text, "/auth/") { // a scope
					t.Errorf("%s: use package ccs/domains instead of %q", rel, name)
					break
				}
			}
			return true
		})
		return nil
	})
	require.NoError(t, err)
}
