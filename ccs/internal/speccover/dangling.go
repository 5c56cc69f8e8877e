package main

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// texts are the files that may name a section, by the end of their names.
var texts = []string{".go", ".md", ".txt", ".json", ".proto", ".lua", ".sh", ".py", ".js", ".mjs", ".yml", ".yaml", "Makefile"}

// dangling lists the references of all files of a module that lead nowhere, each with its file and
// the reason.
func (s spec) dangling(module fs.FS) (all []string, err error) {
	err = fs.WalkDir(module, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := path.Base(name); base == ".git" || base == "node_modules" || base == "bin" || base == "data" || name == here {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || !slices.ContainsFunc(texts, func(end string) bool { return strings.HasSuffix(name, end) }) {
			return nil
		}
		raw, err := fs.ReadFile(module, name)
		if err != nil {
			return err
		}
		for _, r := range s.references(string(raw)) {
			if why := s.resolve(r); why != "" {
				all = append(all, fmt.Sprintf("%s: %s: %s", name, r, why))
			}
		}
		return nil
	})
	return all, err
}
