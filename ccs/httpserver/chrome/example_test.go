package chrome_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/ccs/httpserver/chrome"
	"github.com/openccs/openccs/ccs/oauth"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
)

// An app server sends to a channel with an access token.
func ExampleRoutes() {
	ctx, now := context.Background(), time.Now()
	st := memstore.New()
	_ = st.CreateProject(ctx, &store.Project{Sender: "126200347933"})
	_ = st.AddApp(ctx, &store.App{ID: "aaaabbbb", Sender: "126200347933"})
	_ = st.AddUser(ctx, "0814")
	issuer, _ := oauth.New(ctx, st)
	client, _ := issuer.NewClient(ctx, "126200347933", "", now)
	token, _ := issuer.Issue("126200347933", client.ID, oauth.ScopeChrome, now, time.Hour)

	router, _ := ccs.New(ctx, st, ccs.Options{Tokens: issuer})
	auth := httpserver.NewAuth(router, httpserver.AuthOptions{})
	server := httpserver.New(router, httpserver.Options{Routes: chrome.Routes(router, auth, issuer, chrome.Options{})})

	request := httptest.NewRequest("POST", "/gcm_for_chrome/v1/messages", strings.NewReader(
		`{"channelId":"0814/aaaabbbb","subchannelId":"0","payload":"ping"}`))
	request.Header.Set("Authorization", "Bearer "+token)
	answer := httptest.NewRecorder()
	server.Handler().ServeHTTP(answer, request)
	fmt.Println(answer.Code)
	// Output: 204
}
