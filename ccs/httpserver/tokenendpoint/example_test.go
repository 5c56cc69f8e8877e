package tokenendpoint_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/ccs/httpserver/tokenendpoint"
	"github.com/openccs/openccs/ccs/oauth"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
)

// An app server exchanges its refresh token for an access token.
func ExampleNew() {
	ctx, now := context.Background(), time.Now()
	st := memstore.New()
	_ = st.CreateProject(ctx, &store.Project{Sender: "126200347933"})
	issuer, _ := oauth.New(ctx, st)
	client, _ := issuer.NewClient(ctx, "126200347933", "extension", now)
	refresh, _ := issuer.NewRefreshToken(ctx, client.ID, oauth.Grant{}, now)

	server := httpserver.New(nil, httpserver.Options{Routes: tokenendpoint.New(issuer, tokenendpoint.Options{})})
	form := url.Values{
		"client_id": {client.ID}, "client_secret": {client.Secret}, "refresh_token": {refresh}, "grant_type": {"refresh_token"},
	}
	answer := httptest.NewRecorder()
	server.Handler().ServeHTTP(answer, httptest.NewRequest("POST", "/o/oauth2/token", strings.NewReader(form.Encode())))
	fmt.Println(answer.Code, strings.Contains(answer.Body.String(), `"expires_in":3920,"token_type":"Bearer"`))
	// Output: 200 true
}
