package gcmhttp_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/ccs/httpserver/gcmhttp"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
)

// A router behind the door takes a message for a token that nobody has.
func Example() {
	ctx := context.Background()
	st := memstore.New()
	defer st.Close()
	key := store.APIKey{ID: "1", Hash: store.HashKey("AIzaSample")}
	if err := st.CreateProject(ctx, &store.Project{Sender: "123456789012", Created: time.Now(), Keys: []store.APIKey{key}}); err != nil {
		fmt.Println(err)
		return
	}
	router, err := ccs.New(ctx, st, ccs.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	auth := httpserver.NewAuth(router, httpserver.AuthOptions{})
	server := httpserver.New(router, httpserver.Options{Routes: gcmhttp.Routes(router, auth)})

	r := httptest.NewRequest("POST", "/gcm/send", strings.NewReader("registration_id=nobody&data.k=v"))
	r.Header.Set("Authorization", "key=AIzaSample")
	w := httptest.NewRecorder()
	server.Handler().ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
	// Output: 200 Error=InvalidRegistration
}
