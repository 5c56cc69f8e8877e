package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// listHeader is the beginning of complies.txt.
const listHeader = `# Packages and the rules that they comply with; proselint enforces these. It only grows:
# go run ./ccs/internal/proselint -update adds packages that have no findings.
`

// list has the rules that each package complies with.
type list map[string][]string

func (l list) has(pkg, rule string) bool { return slices.Contains(l[pkg], rule) }

// parseList reads lines of a package and its rules.
func parseList(text string) (list, error) {
	l := list{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		for _, rule := range fields[1:] {
			if !slices.Contains(rules, rule) {
				return nil, fmt.Errorf("%s: no rule %q", fields[0], rule)
			}
		}
		l[fields[0]] = fields[1:]
	}
	return l, nil
}

func (l list) String() string {
	var b strings.Builder
	b.WriteString(listHeader)
	for _, pkg := range slices.Sorted(maps.Keys(l)) {
		if len(l[pkg]) > 0 {
			fmt.Fprintf(&b, "%s %s\n", pkg, strings.Join(l[pkg], " "))
		}
	}
	return b.String()
}

// grow adds the rules for which a package has no findings.
func (l list) grow(packages []string, findings []finding) {
	for _, pkg := range packages {
		var complies []string
		for _, rule := range rules {
			breaks := slices.ContainsFunc(findings, func(f finding) bool { return f.pkg == pkg && f.rule == rule })
			if !breaks || l.has(pkg, rule) {
				complies = append(complies, rule)
			}
		}
		l[pkg] = complies
	}
}
