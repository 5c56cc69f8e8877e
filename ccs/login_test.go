package ccs_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/oauth"
	"github.com/openccs/openccs/store"
)

// withTokens returns a world that accepts access tokens, with one OAuth client of sender.
func withTokens(t *testing.T) (*world, *oauth.Issuer, oauth.Client) {
	t.Helper()
	w := newWorld(t, ccs.Options{})
	issuer, err := oauth.New(t.Context(), w.store)
	require.NoError(t, err)
	w.open(ccs.Options{Tokens: issuer})
	client, err := issuer.NewClient(t.Context(), string(sender), "test", w.Now())
	require.NoError(t, err)
	return w, issuer, client
}

func TestLoginToken(t *testing.T) {
	t.Parallel()
	w, issuer, client := withTokens(t)
	require.NoError(t, w.store.UpdateProject(t.Context(), string(sender), func(p *store.Project) error {
		p.Limits.Window = 7
		return nil
	}))
	token, err := issuer.Issue(string(sender), client.ID, "", w.Now(), time.Hour)
	require.NoError(t, err)
	expired, err := issuer.Issue(string(sender), client.ID, "", w.Now(), 0)
	require.NoError(t, err)
	for _, row := range []struct {
		name       string
		sender     ccs.SenderID
		credential string
		keyID      string
		want       error
	}{
		{"a key is as good as ever", sender, "key-" + string(sender), "1", nil},
		{"an access token", sender, token, "oauth:" + client.ID, nil},
		{"an expired token", sender, expired, "", oauth.ErrExpired},
		{"another sender's token", other, token, "", ccs.ErrWrongKey},
		{"an unknown sender's token", "123", token, "", ccs.ErrUnknownSender},
		{"neither key nor token", sender, "wrong", "", ccs.ErrWrongKey},
	} {
		t.Run(row.name, func(t *testing.T) {
			grant, err := w.LoginToken(t.Context(), row.sender, row.credential, netip.Addr{})
			if row.want != nil {
				require.ErrorIs(t, err, row.want)
				assert.Zero(t, grant)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, ccs.Grant{KeyID: row.keyID, Limits: store.Limits{Window: 7}}, grant)
		})
	}

	t.Run("a refused token is a wrong key to the endpoint", func(t *testing.T) {
		_, err := w.LoginToken(t.Context(), sender, expired, netip.Addr{})
		require.ErrorIs(t, err, ccs.ErrWrongKey)
	})
	t.Run("a token is no key", func(t *testing.T) {
		_, err := w.Login(t.Context(), sender, token, netip.Addr{})
		require.ErrorIs(t, err, ccs.ErrWrongKey)
	})
	t.Run("a store that cannot answer refuses nobody", func(t *testing.T) {
		w.open(ccs.Options{Tokens: unsure{}})
		_, err := w.LoginToken(t.Context(), sender, token, netip.Addr{})
		require.ErrorIs(t, err, store.ErrClosed)
		require.NotErrorIs(t, err, ccs.ErrWrongKey)
	})
	t.Run("a router without tokens takes keys alone", func(t *testing.T) {
		w.open(ccs.Options{})
		_, err := w.LoginToken(t.Context(), sender, token, netip.Addr{})
		require.ErrorIs(t, err, ccs.ErrWrongKey)
		_, err = w.LoginToken(t.Context(), sender, "key-"+string(sender), netip.Addr{})
		require.NoError(t, err)
	})
}

func TestAuthorize(t *testing.T) {
	t.Parallel()
	w, issuer, client := withTokens(t)
	const key = "key-" + string(sender)
	inside, outside := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("198.51.100.7")
	require.NoError(t, w.store.UpdateProject(t.Context(), string(sender), func(p *store.Project) error {
		p.Limits.PerSecond = 7
		p.Keys = append(p.Keys, store.APIKey{ID: "2", Hash: store.HashKey("listed"), Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
		return nil
	}))
	token, err := issuer.Issue(string(sender), client.ID, "a-scope", w.Now(), time.Hour)
	require.NoError(t, err)
	expired, err := issuer.Issue(string(sender), client.ID, "", w.Now(), 0)
	require.NoError(t, err)
	for _, row := range []struct {
		name       string
		credential ccs.Credential
		keyID      string
		scope      string
		want       error
	}{
		{"a key", ccs.Credential{Key: key, Address: outside}, "1", "", nil},
		{"a key and its sender", ccs.Credential{Key: key, Sender: sender}, "1", "", nil},
		{"a key and another sender", ccs.Credential{Key: key, Sender: other}, "", "", ccs.ErrUnauthorized},
		{"a key with an address list, from an address on it", ccs.Credential{Key: "listed", Address: inside}, "2", "", nil},
		{"the same, the address in IPv6", ccs.Credential{Key: "listed", Address: netip.AddrFrom16(inside.As16())}, "2", "", nil},
		{"a key with an address list, from elsewhere", ccs.Credential{Key: "listed", Address: outside}, "", "", ccs.ErrWrongAddress},
		{"a key with an address list, from nowhere", ccs.Credential{Key: "listed"}, "", "", ccs.ErrWrongAddress},
		{"an unknown key", ccs.Credential{Key: "wrong"}, "", "", ccs.ErrUnauthorized},
		{"an access token", ccs.Credential{Token: token}, "oauth:" + client.ID, "a-scope", nil},
		{"an access token and another sender", ccs.Credential{Token: token, Sender: other}, "", "", ccs.ErrUnauthorized},
		{"an expired token", ccs.Credential{Token: expired}, "", "", oauth.ErrExpired},
		{"a key for a token", ccs.Credential{Token: key}, "", "", ccs.ErrUnauthorized},
		{"a token for a key", ccs.Credential{Key: token}, "", "", ccs.ErrUnauthorized},
		{"nothing", ccs.Credential{}, "", "", ccs.ErrUnauthorized},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := w.Authorize(t.Context(), row.credential)
			if row.want != nil {
				require.ErrorIs(t, err, row.want)
				require.ErrorIs(t, err, ccs.ErrUnauthorized)
				assert.Zero(t, got)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, ccs.Authorization{Sender: sender, Grant: ccs.Grant{KeyID: row.keyID, Limits: store.Limits{PerSecond: 7}}, Scope: row.scope}, got)
		})
	}
	t.Run("an address list holds for logins too", func(t *testing.T) {
		_, err := w.Login(t.Context(), sender, "listed", outside)
		require.ErrorIs(t, err, ccs.ErrWrongAddress)
		_, err = w.LoginToken(t.Context(), sender, "listed", outside)
		require.ErrorIs(t, err, ccs.ErrWrongAddress)
		_, err = w.Login(t.Context(), sender, "listed", inside)
		require.NoError(t, err)
	})
	t.Run("a store that cannot answer refuses nobody", func(t *testing.T) {
		w.open(ccs.Options{Tokens: unsure{}})
		_, err := w.Authorize(t.Context(), ccs.Credential{Token: token})
		require.ErrorIs(t, err, store.ErrClosed)
		require.NotErrorIs(t, err, ccs.ErrUnauthorized)
	})
}

// unsure is a TokenChecker with a failing store.
type unsure struct{}

func (unsure) TokenOwner(context.Context, string, time.Time) (sender, clientID, scope string, err error) {
	return "", "", "", store.ErrClosed
}

func TestKeysListsOAuthClientsWhileTheyLive(t *testing.T) {
	t.Parallel()
	w, _, client := withTokens(t)
	keys, err := w.Keys(t.Context(), sender)
	require.NoError(t, err)
	assert.Equal(t, []string{"1", "oauth:" + client.ID}, keys)
	require.NoError(t, w.store.DeleteOAuthClient(t.Context(), client.ID))
	keys, err = w.Keys(t.Context(), sender)
	require.NoError(t, err)
	assert.Equal(t, []string{"1"}, keys)
}
