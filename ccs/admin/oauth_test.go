package admin_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/ccs/oauth"
	"github.com/openccs/openccs/store"
)

// CCS 7.1: an operator makes the credentials that an app server exchanges for access tokens.
func TestOAuthClientsComeAndGo(t *testing.T) {
	bothWays(t, func(t *testing.T, w world) {
		ctx := t.Context()
		_, err := w.Create(ctx, "", "4711")
		require.NoError(t, err)
		issuer, err := oauth.New(ctx, w.stored)
		require.NoError(t, err)

		made, err := w.CreateOAuth(ctx, "4711", admin.OAuthRequest{Name: "push"})
		require.NoError(t, err)
		ask := &oauth.Request{ClientID: made.ClientID, ClientSecret: made.ClientSecret, RefreshToken: made.RefreshToken}
		access, err := issuer.Refresh(ctx, ask, created)
		require.NoError(t, err)
		_, err = issuer.Check(ctx, access.Token, created)
		require.NoError(t, err)

		list, err := w.ListOAuth(ctx, "")
		require.NoError(t, err)
		assert.Equal(t, []admin.OAuthClient{{
			ClientID: made.ClientID, SenderID: "4711", Name: "push", Created: created,
			RefreshTokens: []admin.OAuthRefreshToken{{Scope: oauth.DefaultScope, Created: created}},
		}}, list)
		none, err := w.ListOAuth(ctx, "404")
		require.NoError(t, err)
		assert.Equal(t, []admin.OAuthClient{}, none)

		require.NoError(t, w.RevokeOAuth(ctx, made.ClientID, true))
		assert.Equal(t, []string{"4711"}, *w.revoked, "its sessions have to end")
		fresh, err := oauth.New(ctx, w.stored)
		require.NoError(t, err)
		_, err = fresh.Check(ctx, access.Token, created)
		require.ErrorIs(t, err, oauth.ErrRevoked)
		_, err = fresh.Refresh(ctx, ask, created)
		require.NoError(t, err, "the refresh token stays")

		require.NoError(t, w.RevokeOAuth(ctx, made.ClientID, false))
		_, err = fresh.Refresh(ctx, ask, created)
		require.ErrorIs(t, err, oauth.ErrClient)
		require.ErrorIs(t, w.RevokeOAuth(ctx, made.ClientID, false), store.ErrNotFound)
	})
}

func TestOAuthCredentialsThatAppServersHaveAreImported(t *testing.T) {
	given := admin.OAuthRequest{ClientID: "291796959215.apps.googleusercontent.com", ClientSecret: "0bKUtXN6ykk7Mj1lQxoBZ2mh", RefreshToken: "1%wMfyZvG"}
	tests := []struct {
		name, sender string
		change       func(*admin.OAuthRequest)
		want         error
	}{
		{name: "an unknown project", sender: "404", want: store.ErrNotFound},
		{name: "a client ID that is taken", sender: "4711", want: store.ErrExists},
		{name: "a refresh token that is taken", sender: "4711", change: func(r *admin.OAuthRequest) { r.ClientID = "new" }, want: store.ErrExists},
		{name: "a client ID with a blank", sender: "4711", change: func(r *admin.OAuthRequest) { r.ClientID = "a b" }, want: admin.ErrInvalid},
		{name: "a user that is no number", sender: "4711", change: func(r *admin.OAuthRequest) { *r = admin.OAuthRequest{User: "me"} }, want: admin.ErrInvalid},
		{name: "a scope that is too long", sender: "4711", change: func(r *admin.OAuthRequest) { *r = admin.OAuthRequest{Scope: strings.Repeat("s", 401)} }, want: admin.ErrInvalid},
		{name: "a name that is too long", sender: "4711", change: func(r *admin.OAuthRequest) { *r = admin.OAuthRequest{Name: strings.Repeat("n", 300)} }, want: admin.ErrInvalid},
	}
	bothWays(t, func(t *testing.T, w world) {
		_, err := w.Create(t.Context(), "", "4711")
		require.NoError(t, err)
		made, err := w.CreateOAuth(t.Context(), "4711", given)
		require.NoError(t, err)
		assert.Equal(t, &admin.OAuthCredentials{ClientID: given.ClientID, ClientSecret: given.ClientSecret, RefreshToken: given.RefreshToken}, made)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				r := given
				if tt.change != nil {
					tt.change(&r)
				}
				_, err := w.CreateOAuth(t.Context(), tt.sender, r)
				require.ErrorIs(t, err, tt.want)
				list, err := w.ListOAuth(t.Context(), "4711")
				require.NoError(t, err)
				assert.Len(t, list, 1, "nothing is left of it")
			})
		}
		_, err = w.CreateOAuth(t.Context(), "4711", admin.OAuthRequest{User: "08144192009958038014"})
		require.NoError(t, err)
	})
}
