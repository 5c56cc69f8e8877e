package main

import (
	"regexp"
	"slices"
	"strings"
)

var (
	// start is where references begin, number one of them with its rule or row, next what may be between two: so
	// that "CCS 1.3, slixmpp 1.8" names one section and "CCS 1.3 rule 5, 1.10" two.
	start  = regexp.MustCompile(`\b(?:CCS|DEV) `)
	number = regexp.MustCompile(`^(\d+(?:\.\d+)*)(?: (?:no\.|row|rows|rule|rules) \d+(?: to \d+)?)?`)
	next   = regexp.MustCompile(`^(?:, |; | and | to )`)

	// folded is a comment or string that goes on in the next line.
	folded = regexp.MustCompile(`\n\s*(?://)? *`)
)

// references lists the section numbers that a text names, each once, those of DEV with its name before them. A range
// names all between its ends.
func references(text string) (found []string) {
	text = folded.ReplaceAllString(text, " ")
	for _, at := range start.FindAllStringIndex(text, -1) {
		of := strings.TrimPrefix(text[at[0]:at[1]], "CCS ")
		rest, last, through := text[at[1]:], "", false
		for {
			m := number.FindStringSubmatch(rest)
			if m == nil {
				break
			}
			if through {
				found = append(found, between(last, of+m[1])...)
			}
			found = append(found, of+m[1])
			last, rest = of+m[1], rest[len(m[0]):]
			sep := next.FindString(rest)
			through, rest = sep == " to ", rest[len(sep):]
			if sep == "" {
				break
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// between lists the sections behind one and before another.
func between(first, last string) (all []string) {
	index := func(number string) int {
		return slices.IndexFunc(sections, func(s section) bool { return s.number == number })
	}
	i, j := index(first), index(last)
	if i < 0 || j < i {
		return nil
	}
	for _, s := range sections[i:j] {
		all = append(all, s.number)
	}
	return all
}

// sources is what the source lines of a file below testdata say; they are in its header, which ends with a
// blank line.
func sources(file string) string {
	head, _, _ := strings.Cut(file, "\n\n")
	var b strings.Builder
	for line := range strings.Lines(head) {
		if value, ok := strings.CutPrefix(line, "source: "); ok {
			b.WriteString(strings.TrimSpace(value) + ".\n")
		}
	}
	return b.String()
}
