package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "speccover:", err)
		os.Exit(1)
	}
}

func run(w io.Writer) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	root, err := moduleRoot(dir)
	if err != nil {
		return err
	}
	module := os.DirFS(root)
	s, err := readSpec(module)
	if err != nil {
		return err
	}
	c, err := s.scan(module)
	if err != nil {
		return err
	}
	s.print(w, c)
	return nil
}

// print writes the table: each section, then the names of its tests and files. An omitted page or
// chapter gets one line.
func (s spec) print(w io.Writer, c coverage) {
	covered, all := 0, 0
	for _, x := range s {
		names := c[x.number]
		reason, exact := reasonWithout(x.number)
		if !x.leaf || len(names) == 0 && reason != "" && !exact {
			continue
		}
		all++
		fmt.Fprintf(w, "%-8s %s\n", x.number, x.title)
		switch {
		case len(names) > 0:
			covered++
			wrap(w, names)
		case reason != "":
			fmt.Fprintf(w, "         none: %s\n", reason)
		default:
			fmt.Fprintln(w, "         none")
		}
	}
	fmt.Fprintf(w, "%d of %d sections are named by a test, a vector or a golden stream\n", covered, all)
}

// wrap writes names in lines of a terminal's width. Names in one directory or package share the
// beginning of a line.
func wrap(w io.Writer, names []string) {
	const width, indent = 118, "         "
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
