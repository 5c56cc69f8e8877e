package devcert_test

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/openccs/openccs/ccs/devcert"
)

// A server that is given no certificate makes one, and uses it again at later starts.
func ExampleEnsure() {
	dir, err := os.MkdirTemp("", "data-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	for range 2 {
		files, err := devcert.Ensure(dir, devcert.Names(), time.Now())
		if err != nil {
			fmt.Println(err)
			return
		}
		trust, _ := filepath.Rel(dir, files.CA)
		fmt.Println("clients trust", filepath.ToSlash(trust))
	}
	// Output:
	// clients trust tls/ca.pem
	// clients trust tls/ca.pem
}
