// Command proselint checks the rules of ccs/docs/design/style.md that a program can check, in the
// Go files of the module:
//
//	go run ./ccs/internal/proselint
//
// It prints findings for packages that complies.txt lists for the rule, and exits with 1 if there
// are any. For other packages it prints the number of findings. With -v it prints those too, and
// with -update it adds each package without findings to complies.txt. The list only grows.
package main
