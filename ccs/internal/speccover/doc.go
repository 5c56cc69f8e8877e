// Command speccover lists the sections of the specification with the tests, vectors and golden
// streams that name each:
//
//	go run ./ccs/internal/speccover
//
// The specification is the pages below ccs/docs/spec. A reference names a page and a section: "CCS
// 3.3", "DEV 7.2", "CCS 1.3 rule 5"; pages.go has the names. A test names a section in its name,
// its comment or its body. A file below testdata names it in a source line of its header. Text
// outside test functions does not count, and a chapter does not stand for its sections.
//
// The tests of this package enforce two rules. Each section is named somewhere, unless sections.go
// gives a reason. Each reference anywhere in the tree resolves to a section of a page.
package main
