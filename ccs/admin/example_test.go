package admin_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/store/memstore"
)

// In this example a server answers on its data directory. A command finds it there, or finds that
// none runs.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "data-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	_, err = admin.Dial(dir)
	fmt.Println("no server runs:", errors.Is(err, admin.ErrNoServer))

	mux := http.NewServeMux()
	admin.ProjectRoutes(mux, admin.NewProjects(memstore.New(), admin.Options{}))
	server, err := admin.Start(dir, mux, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Shutdown(ctx)

	client, err := admin.Dial(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	made, err := client.Create(ctx, "My shop", "123456789012")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("made project", made.SenderID)
	// Output:
	// no server runs: true
	// made project 123456789012
}
