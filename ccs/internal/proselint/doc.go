// Command proselint checks the rules of ccs/docs/design/style.md that a program can check, in the Go files of the
// module:
//
//	go run ./ccs/internal/proselint
//
// It prints what breaks a rule in a package that is listed for it in complies.txt, and exits with 1 if anything does.
// For other packages it prints how many findings they have. With -v it prints those too, and with -update it adds
// each package without findings to complies.txt. The list only grows.
package main
