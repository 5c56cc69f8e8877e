package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

func main() {
	spec := flag.String("spec", "", "compare the list of sections to those of this `file`")
	flag.Parse()
	if err := run(os.Stdout, *spec); err != nil {
		fmt.Fprintln(os.Stderr, "speccover:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, spec string) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	root, err := moduleRoot(dir)
	if err != nil {
		return err
	}
	c, err := scan(os.DirFS(root))
	if err != nil {
		return err
	}
	c.print(w)
	if spec == "" {
		return nil
	}
	raw, err := os.ReadFile(spec)
	if err != nil {
		return err
	}
	return compare(raw)
}

// print writes the table: a section, then what names it.
func (c coverage) print(w io.Writer) {
	covered := 0
	for _, s := range sections {
		names := c[s.number]
		fmt.Fprintf(w, "%-7s %s\n", s.number, s.title)
		switch {
		case len(names) > 0:
			covered++
			wrap(w, names)
		case s.without != "":
			fmt.Fprintf(w, "        none: %s\n", s.without)
		default:
			fmt.Fprintln(w, "        none")
		}
	}
	fmt.Fprintf(w, "%d of %d sections are named by a test, a vector or a golden stream\n", covered, len(sections))
}

// wrap writes names in lines of a terminal's width. Those of one directory, or package, share a line's beginning.
func wrap(w io.Writer, names []string) {
	const width, indent = 118, "        "
	line, group := "", ""
	flush := func() {
		if line != "" {
			fmt.Fprintln(w, strings.TrimRight(line, " "))
		}
	}
	for _, name := range names {
		i := strings.LastIndexAny(name, "./") + 1
		if name[:i] != group {
			flush()
			group = name[:i]
			line = indent + group + " "
		} else if len(line)+len(name)-i > width {
			flush()
			line = indent + "  "
		}
		line += name[i:] + " "
	}
	flush()
}

var (
	chapter = regexp.MustCompile(`^## (\d+)\.`)
	heading = regexp.MustCompile(`^### (\d+\.\d+) `)
	point   = regexp.MustCompile(`^(\d+)\. `)
)

// compare checks that the specification has the sections of our list and, in the chapters 1 to 5, no others. The
// points of chapter 5 count as sections.
func compare(spec []byte) error {
	var theirs []string
	in := ""
	for line := range bytes.Lines(spec) {
		if m := chapter.FindSubmatch(line); m != nil {
			in = string(m[1])
			if in == "9" || in == "11" {
				theirs = append(theirs, in)
			}
		}
		if m := heading.FindSubmatch(line); m != nil && strings.Contains("1 2 3 4 5", in) {
			theirs = append(theirs, string(m[1]))
		}
		if m := point.FindSubmatch(line); m != nil && in == "5" {
			theirs = append(theirs, in+"."+string(m[1]))
		}
	}
	var ours []string
	for _, s := range appServerSections {
		ours = append(ours, s.number)
	}
	if !slices.Equal(ours, theirs) {
		return fmt.Errorf("sections.go has %s\nbut the specification %s", strings.Join(ours, " "), strings.Join(theirs, " "))
	}
	return nil
}
