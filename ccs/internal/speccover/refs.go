package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// reference is a place where a text names a section, or some of its points or rows.
type reference struct {
	section     string // with the page: "CCS 1.3"
	first, last int    // items; 0 if it names none
}

func (r reference) String() string {
	switch {
	case r.first == 0:
		return r.section
	case r.first == r.last:
		return fmt.Sprintf("%s no. %d", r.section, r.first)
	default:
		return fmt.Sprintf("%s no. %d to %d", r.section, r.first, r.last)
	}
}

var (
	// start matches the beginning of references, number one of them with its rule or row, and next
	// the text that may be between two. So "CCS 1.3, slixmpp 1.8" names one section and "CCS 1.3
	// rule 5, 1.10" two.
	start  = regexp.MustCompile("\\b(?:(CCS|DEV|FCM|TOPICS|WEBPUSH) |(ccs|device|fcm|topics|webpush)\\.md`?,? )§? ?")
	number = regexp.MustCompile(`^§?(\d+(?:\.\d+)*)(?: (?:no\.|row|rows|rule|rules) (\d+)(?: to (\d+))?)?`)
	next   = regexp.MustCompile(`^(?:, |; | and | to |–)`)

	// folded is a comment or string that goes on in the next line.
	folded = regexp.MustCompile(`\n\s*(?://|#)? *`)
)

// pageNames has the name of each page by its file without ".md".
var pageNames = func() map[string]string {
	names := map[string]string{}
	for _, p := range pages {
		names[strings.TrimSuffix(p.file, ".md")] = p.name
	}
	return names
}()

// references returns the sections that a text names, each once. A range of sections includes those
// between its ends.
func (s spec) references(text string) (found []reference) {
	text = folded.ReplaceAllString(text, " ")
	for _, at := range start.FindAllStringSubmatchIndex(text, -1) {
		page := ""
		if at[2] >= 0 {
			page = text[at[2]:at[3]]
		} else {
			page = pageNames[text[at[4]:at[5]]]
		}
		rest, last, through := text[at[1]:], "", false
		for {
			m := number.FindStringSubmatch(rest)
			if m == nil {
				break
			}
			r := reference{section: page + " " + m[1]}
			r.first, _ = strconv.Atoi(m[2])
			if r.last, _ = strconv.Atoi(m[3]); r.last == 0 {
				r.last = r.first
			}
			if through {
				found = append(found, s.between(last, r.section)...)
			}
			found = append(found, r)
			last, rest = r.section, rest[len(m[0]):]
			sep := next.FindString(rest)
			through, rest = sep == " to " || sep == "–", rest[len(sep):]
			if sep == "" {
				break
			}
		}
	}
	slices.SortFunc(found, func(a, b reference) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(found)
}

// between returns the leaves after one section and before another.
func (s spec) between(first, last string) (all []reference) {
	i, j := s.index(first), s.index(last)
	if i < 0 || j < i {
		return nil
	}
	for _, x := range s[i:j] {
		if x.leaf {
			all = append(all, reference{section: x.number})
		}
	}
	return all
}

// resolve says why a reference leads nowhere, or returns "".
func (s spec) resolve(r reference) string {
	i := s.index(r.section)
	if i < 0 {
		return "there is no such section"
	}
	for n := r.first; n <= r.last && n > 0; n++ {
		if s[i].items[n] == "" {
			return fmt.Sprintf("the section has no point or row %d", n)
		}
	}
	return ""
}

// sources returns the source lines of a file below testdata. They are in its header, which ends
// with a blank line.
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
