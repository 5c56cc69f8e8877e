package main

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// pagesDir has the pages of the specification.
const pagesDir = "ccs/docs/spec"

// pages lists the pages with the names that references use. ccs/docs/glossary.md lists the same
// names.
var pages = []struct{ name, file string }{
	{"CCS", "ccs.md"},
	{"DEV", "device.md"},
	{"FCM", "fcm.md"},
	{"TOPICS", "topics.md"},
	{"WEBPUSH", "webpush.md"},
}

// section is a heading of a page, or a point of a chapter whose points are its sections.
type section struct {
	number string // with the page: "CCS 3.3"
	title  string
	leaf   bool           // no other section is below it
	items  map[int]string // numbered points and rows of its text
}

// spec has the sections of all pages, in order.
type spec []section

func (s spec) index(number string) int {
	return slices.IndexFunc(s, func(x section) bool { return x.number == number })
}

var (
	heading = regexp.MustCompile(`^(##|###) (\d+(?:\.\d+)*)\.? (.+)`)
	point   = regexp.MustCompile(`^(\d+)\. (.+)`)
	row     = regexp.MustCompile(`^\| (\d+) \|`)
	bold    = regexp.MustCompile(`^\*\*(.+?)[.:]?\*\*`)
	markup  = strings.NewReplacer("`", "", "**", "")
)

// readSpec reads the pages of a module.
func readSpec(module fs.FS) (spec, error) {
	var all spec
	for _, p := range pages {
		raw, err := fs.ReadFile(module, pagesDir+"/"+p.file)
		if err != nil {
			return nil, err
		}
		sections := readPage(p.name, string(raw))
		if len(sections) == 0 {
			return nil, fmt.Errorf("%s has no numbered headings", p.file)
		}
		all = append(all, sections...)
	}
	return all, nil
}

// readPage lists the sections of one page.
func readPage(name, text string) (all spec) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if m := heading.FindStringSubmatch(line); m != nil {
			chapter, _, below := strings.Cut(m[2], ".")
			if i := all.index(name + " " + chapter); below && i >= 0 {
				all[i].leaf = false
			}
			all = append(all, section{number: name + " " + m[2], title: markup.Replace(m[3]), leaf: true, items: map[int]string{}})
			continue
		}
		if len(all) == 0 {
			continue
		}
		if m := point.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1])
			all[len(all)-1].items[n] = m[2]
		} else if m := row.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1])
			all[len(all)-1].items[n] = line
		}
	}
	return withPoints(all)
}

// withPoints adds the points of each chapter that has no sections and whose points all begin with a
// bold title.
func withPoints(sections spec) (all spec) {
	for _, s := range sections {
		titles := s.boldPoints()
		if !s.leaf || strings.Contains(s.number, ".") || len(titles) == 0 {
			all = append(all, s)
			continue
		}
		s.leaf = false
		all = append(all, s)
		for i, title := range titles {
			all = append(all, section{number: fmt.Sprintf("%s.%d", s.number, i+1), title: title, leaf: true})
		}
	}
	return all
}

// boldPoints returns the bold titles of all items, or nil if one has none.
func (s section) boldPoints() (titles []string) {
	for i := 1; i <= len(s.items); i++ {
		m := bold.FindStringSubmatch(s.items[i])
		if m == nil {
			return nil
		}
		titles = append(titles, markup.Replace(m[1]))
	}
	return titles
}
