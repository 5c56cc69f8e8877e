// Command speccover lists the sections of the protocol, of app servers (CCS) and devices (DEV), with the tests, vectors and golden streams that
// name each, for the question whether everything that the specification asks for is held by something:
//
//	go run ./ccs/internal/speccover
//
// A test names a section in its name, its comment or its body, as "CCS 3.3" or "DEV 7.2"; a file below testdata in a source line
// of its header. What stands outside test functions does not count, nor does a chapter without a section. The
// sections are in sections.go and device.go, with the reason for each that nothing names; the package's own test fails when one
// loses what covered it. With -spec FILE the list of CCS is compared to the headings of a copy of it.
package main
