package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/openccs/openccs/store"
)

func oauthClient(id, sender string) *store.OAuthClient {
	return &store.OAuthClient{ID: id, Sender: sender, Name: "Client " + id, SecretHash: store.HashKey("secret-" + id), Created: start}
}

func refreshToken(token, client, sender string) *store.RefreshToken {
	return &store.RefreshToken{Hash: store.HashKey(token), Client: client, Sender: sender, Scope: "scope-" + token, Created: start.Add(time.Hour)}
}

// withClients makes a project with OAuth clients.
func (f fixture) withClients(sender string, ids ...string) {
	f.Helper()
	require.NoError(f, f.CreateProject(context.Background(), project(sender)))
	for _, id := range ids {
		require.NoError(f, f.CreateOAuthClient(context.Background(), oauthClient(id, sender)))
	}
}

func (f fixture) putTokens(client, sender string, tokens ...string) {
	f.Helper()
	for _, t := range tokens {
		require.NoError(f, f.PutRefreshToken(context.Background(), refreshToken(t, client, sender)))
	}
}

// clientsOf returns the IDs of a sender's clients, as listed.
func (f fixture) clientsOf(sender string) (ids []string) {
	f.Helper()
	all, err := f.OAuthClients(context.Background(), sender)
	require.NoError(f, err)
	for _, c := range all {
		assert.Equal(f, sender, c.Sender)
		ids = append(ids, c.ID)
	}
	return ids
}

// tokensLeft returns those of the tokens that exist.
func (f fixture) tokensLeft(tokens ...string) (left []string) {
	f.Helper()
	for _, token := range tokens {
		_, err := f.RefreshToken(context.Background(), store.HashKey(token))
		if err == nil {
			left = append(left, token)
			continue
		}
		require.ErrorIs(f, err, store.ErrNotFound)
	}
	return left
}

var oauthCases = []testCase{
	{"a client comes back as it was", func(f fixture) {
		f.withClients("1", "c")
		c, err := f.OAuthClient(context.Background(), "c")
		require.NoError(f, err)
		assert.True(f, start.Equal(c.Created))
		c.Created = start
		assert.Equal(f, oauthClient("c", "1"), c)
	}},
	{"a client ID is taken once, by whichever sender", func(f fixture) {
		f.withClients("1", "c")
		f.withClients("2")
		require.ErrorIs(f, f.CreateOAuthClient(context.Background(), oauthClient("c", "1")), store.ErrExists)
		require.ErrorIs(f, f.CreateOAuthClient(context.Background(), oauthClient("c", "2")), store.ErrExists)
		assert.Empty(f, f.clientsOf("2"))
	}},
	{"there is no client without its project", func(f fixture) {
		require.ErrorIs(f, f.CreateOAuthClient(context.Background(), oauthClient("c", "1")), store.ErrNotFound)
		_, err := f.OAuthClient(context.Background(), "c")
		require.ErrorIs(f, err, store.ErrNotFound)
	}},
	{"an unknown client is not found or deleted", func(f fixture) {
		_, err := f.OAuthClient(context.Background(), "c")
		require.ErrorIs(f, err, store.ErrNotFound)
		require.ErrorIs(f, f.DeleteOAuthClient(context.Background(), "c"), store.ErrNotFound)
	}},
	{"clients are listed by ID, for their sender alone", func(f fixture) {
		f.withClients("1", "b", "c", "a")
		f.withClients("12", "d")
		assert.Equal(f, []string{"a", "b", "c"}, f.clientsOf("1"))
		assert.Equal(f, []string{"d"}, f.clientsOf("12"))
		assert.Empty(f, f.clientsOf("2"))
	}},
	{"a client shares no memory with the callers", func(f fixture) {
		require.NoError(f, f.CreateProject(context.Background(), project("1")))
		c := oauthClient("c", "1")
		require.NoError(f, f.CreateOAuthClient(context.Background(), c))
		c.Name = "changed"
		got, err := f.OAuthClient(context.Background(), "c")
		require.NoError(f, err)
		assert.Equal(f, "Client c", got.Name)
		got.Name = "changed"
		all, err := f.OAuthClients(context.Background(), "1")
		require.NoError(f, err)
		assert.Equal(f, "Client c", all[0].Name)
	}},
	{"a deleted client is gone with its refresh tokens, and no other is", func(f fixture) {
		f.withClients("1", "c", "cc")
		f.putTokens("c", "1", "t1", "t2")
		f.putTokens("cc", "1", "t3")
		require.NoError(f, f.DeleteOAuthClient(context.Background(), "c"))
		_, err := f.OAuthClient(context.Background(), "c")
		require.ErrorIs(f, err, store.ErrNotFound)
		assert.Equal(f, []string{"cc"}, f.clientsOf("1"))
		assert.Equal(f, []string{"t3"}, f.tokensLeft("t1", "t2", "t3"))
		require.NoError(f, f.CreateOAuthClient(context.Background(), oauthClient("c", "1")))
		assert.Empty(f, f.tokensLeft("t1", "t2"), "a new client of that ID has none of the old tokens")
	}},
	{"a deleted project takes its clients and their refresh tokens along", func(f fixture) {
		f.withClients("1", "a", "b")
		f.withClients("12", "c")
		f.putTokens("a", "1", "t1")
		f.putTokens("b", "1", "t2")
		f.putTokens("c", "12", "t3")
		require.NoError(f, f.DeleteProject(context.Background(), "1"))
		for _, id := range []string{"a", "b"} {
			_, err := f.OAuthClient(context.Background(), id)
			require.ErrorIs(f, err, store.ErrNotFound)
		}
		assert.Equal(f, []string{"t3"}, f.tokensLeft("t1", "t2", "t3"))
		require.NoError(f, f.CreateProject(context.Background(), project("1")))
		assert.Empty(f, f.clientsOf("1"), "a new project of that sender ID has none of the old clients")
		assert.Equal(f, []string{"c"}, f.clientsOf("12"))
	}},
	{"a refresh token comes back as it was", func(f fixture) {
		f.withClients("1", "c")
		f.putTokens("c", "1", "t")
		got, err := f.RefreshToken(context.Background(), store.HashKey("t"))
		require.NoError(f, err)
		want := refreshToken("t", "c", "1")
		assert.True(f, want.Created.Equal(got.Created))
		got.Created = want.Created
		assert.Equal(f, want, got)
		got.Scope = "changed"
		again, err := f.RefreshToken(context.Background(), store.HashKey("t"))
		require.NoError(f, err)
		assert.Equal(f, want.Scope, again.Scope, "the record shares no memory with the caller's")
	}},
	{"a refresh token is put once", func(f fixture) {
		f.withClients("1", "a", "b")
		f.putTokens("a", "1", "t")
		require.ErrorIs(f, f.PutRefreshToken(context.Background(), refreshToken("t", "b", "1")), store.ErrExists)
		got, err := f.RefreshToken(context.Background(), store.HashKey("t"))
		require.NoError(f, err)
		assert.Equal(f, "a", got.Client)
	}},
	{"there is no refresh token without its client, nor for another sender", func(f fixture) {
		f.withClients("1", "c")
		f.withClients("2")
		require.ErrorIs(f, f.PutRefreshToken(context.Background(), refreshToken("t", "none", "1")), store.ErrNotFound)
		require.ErrorIs(f, f.PutRefreshToken(context.Background(), refreshToken("t", "c", "2")), store.ErrNotFound)
		assert.Empty(f, f.tokensLeft("t"))
	}},
	{"a user's refresh token names the user", func(f fixture) {
		f.withClients("1", "c")
		t := refreshToken("t", "c", "1")
		t.User = "08144192009958038014"
		require.NoError(f, f.PutRefreshToken(context.Background(), t))
		got, err := f.RefreshToken(context.Background(), t.Hash)
		require.NoError(f, err)
		assert.Equal(f, t.User, got.User)
	}},
	{"refresh tokens are listed by hash, for their client only", func(f fixture) {
		f.withClients("1", "c", "cc")
		f.putTokens("c", "1", "t1", "t2", "t3")
		f.putTokens("cc", "1", "t4")
		all, err := f.RefreshTokens(context.Background(), "c")
		require.NoError(f, err)
		var scopes []string
		for i, t := range all {
			scopes = append(scopes, t.Scope)
			assert.True(f, i == 0 || string(all[i-1].Hash[:]) < string(t.Hash[:]), "in the order of hashes")
		}
		assert.ElementsMatch(f, []string{"scope-t1", "scope-t2", "scope-t3"}, scopes)
		none, err := f.RefreshTokens(context.Background(), "none")
		require.NoError(f, err)
		assert.Empty(f, none)
	}},
	{"a client is changed by one caller at a time", func(f fixture) {
		f.withClients("1", "c")
		var g errgroup.Group
		for range 10 {
			g.Go(func() error {
				return f.UpdateOAuthClient(context.Background(), "c", func(c *store.OAuthClient) error {
					c.ID, c.Sender = "another", "2"
					c.TokenEpoch++
					return nil
				})
			})
		}
		require.NoError(f, g.Wait())
		got, err := f.OAuthClient(context.Background(), "c")
		require.NoError(f, err)
		want := oauthClient("c", "1")
		want.TokenEpoch, want.Created, got.Created = 10, start, start
		assert.Equal(f, want, got, "ID and sender stay")
		assert.Equal(f, []string{"c"}, f.clientsOf("1"))
	}},
	{"a change that fails changes nothing, and an unknown client is not changed", func(f fixture) {
		f.withClients("1", "c")
		failed := errors.New("failed")
		require.ErrorIs(f, f.UpdateOAuthClient(context.Background(), "c", func(c *store.OAuthClient) error {
			c.Name = "changed"
			return failed
		}), failed)
		got, err := f.OAuthClient(context.Background(), "c")
		require.NoError(f, err)
		assert.Equal(f, "Client c", got.Name)
		require.ErrorIs(f, f.UpdateOAuthClient(context.Background(), "none", func(*store.OAuthClient) error { return nil }), store.ErrNotFound)
	}},
	{"a deleted refresh token is gone, and no other is", func(f fixture) {
		f.withClients("1", "c")
		f.putTokens("c", "1", "t1", "t2")
		require.NoError(f, f.DeleteRefreshToken(context.Background(), store.HashKey("t1")))
		require.ErrorIs(f, f.DeleteRefreshToken(context.Background(), store.HashKey("t1")), store.ErrNotFound)
		assert.Equal(f, []string{"t2"}, f.tokensLeft("t1", "t2"))
	}},
	{"a client that is made while its project is deleted does not outlive it", func(f fixture) {
		for range 20 {
			f.withClients("1")
			var g errgroup.Group
			g.Go(func() error { return f.DeleteProject(context.Background(), "1") })
			g.Go(func() error {
				err := f.CreateOAuthClient(context.Background(), oauthClient("c", "1"))
				if errors.Is(err, store.ErrNotFound) {
					return nil
				}
				return err
			})
			require.NoError(f, g.Wait())
			assert.Empty(f, f.clientsOf("1"))
		}
	}},
}
