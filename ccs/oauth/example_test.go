package oauth_test

import (
	"context"
	"fmt"
	"time"

	"github.com/openccs/openccs/ccs/oauth"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
)

// These calls are behind the token endpoint, and behind the doors that accept the tokens.
func ExampleIssuer_Refresh() {
	ctx, now := context.Background(), time.Now()
	st := memstore.New()
	_ = st.CreateProject(ctx, &store.Project{Sender: "126200347933"})
	issuer, _ := oauth.New(ctx, st)

	client, _ := issuer.NewClient(ctx, "126200347933", "extension", now)
	refresh, _ := issuer.NewRefreshToken(ctx, client.ID, oauth.Grant{Scope: oauth.ScopeChrome}, now)

	access, _ := issuer.Refresh(ctx, &oauth.Request{ClientID: client.ID, ClientSecret: client.Secret, RefreshToken: refresh}, now)
	claims, err := issuer.Check(ctx, access.Token, now.Add(time.Hour))
	fmt.Println(claims.Sender, claims.Scope, err)
	_, err = issuer.Check(ctx, access.Token, now.Add(2*time.Hour))
	fmt.Println(err)
	// Output:
	// 126200347933 https://www.googleapis.com/auth/gcm_for_chrome <nil>
	// the access token has expired
}
