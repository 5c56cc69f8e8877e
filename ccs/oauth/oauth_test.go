package oauth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/oauth"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
)

const (
	sender = "126200347933"
	other  = "999999999999"
	scope  = "https://www.googleapis.com/auth/gcm_for_chrome"
)

var now = time.Unix(1_400_000_000, 0)

// world is an issuer over a memory store with two projects, one of which has a client.
type world struct {
	*oauth.Issuer
	store  *memstore.Store
	client oauth.Client
}

func newWorld(t testing.TB) *world {
	t.Helper()
	ctx := context.Background()
	w := &world{store: memstore.New()}
	for _, s := range []string{sender, other} {
		require.NoError(t, w.store.CreateProject(ctx, &store.Project{Sender: s}))
	}
	var err error
	w.Issuer, err = oauth.New(ctx, w.store)
	require.NoError(t, err)
	w.client, err = w.NewClient(ctx, sender, "test", now)
	require.NoError(t, err)
	return w
}

func (w *world) issue(t testing.TB, life time.Duration) string {
	t.Helper()
	token, err := w.Issue(sender, w.client.ID, scope, now, life)
	require.NoError(t, err)
	return token
}

func TestATokenSaysWhatItWasIssuedFor(t *testing.T) {
	w := newWorld(t)
	token := w.issue(t, time.Hour)
	assert.Regexp(t, `^ya29\.[A-Za-z0-9_-]+$`, token)
	want := oauth.Claims{Sender: sender, Client: w.client.ID, Scope: scope, Issued: now, Expires: now.Add(time.Hour)}
	got, err := w.Check(t.Context(), token, now)
	require.NoError(t, err)
	assert.Equal(t, want, got)

	again, err := oauth.New(t.Context(), w.store)
	require.NoError(t, err)
	got, err = again.Check(t.Context(), token, now)
	require.NoError(t, err, "after a restart")
	assert.Equal(t, want, got)

	owner, client, _, err := w.TokenOwner(t.Context(), token, now)
	require.NoError(t, err)
	assert.Equal(t, []string{sender, w.client.ID}, []string{owner, client})
}

func TestATokenExpiresToTheSecond(t *testing.T) {
	w := newWorld(t)
	token := w.issue(t, time.Hour)
	_, err := w.Check(t.Context(), token, now.Add(time.Hour-time.Nanosecond))
	require.NoError(t, err)
	_, err = w.Check(t.Context(), token, now.Add(time.Hour))
	require.ErrorIs(t, err, oauth.ErrExpired)
}

func TestWhatThisServerDidNotIssueIsInvalid(t *testing.T) {
	w := newWorld(t)
	token := w.issue(t, time.Hour)
	foreign := newWorld(t)
	signed, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, oauth.Prefix))
	require.NoError(t, err)
	changed := func(at int) string {
		b := append([]byte{}, signed...)
		b[at] ^= 1
		return oauth.Prefix + base64.RawURLEncoding.EncodeToString(b)
	}
	for _, row := range []struct{ name, token string }{
		{"nothing", ""},
		{"the prefix alone", oauth.Prefix},
		{"an API key", "AIzaSyB3rcZNkfnqKdFb9mhzCBiYpORDA2JWWtw"},
		{"without the prefix", strings.TrimPrefix(token, oauth.Prefix)},
		{"another version", changed(0)},
		{"a later expiry", changed(16)},
		{"another sender", changed(20)},
		{"another signature", changed(len(signed) - 1)},
		{"cut short", token[:len(token)-4]},
		{"a signature over nothing", oauth.Prefix + base64.RawURLEncoding.EncodeToString(make([]byte, 32))},
		{"something behind it", token + "AAAA"},
		{"padded", token + "="},
		{"folded", token[:20] + "\n" + token[20:]},
		{"too long to look at", token + strings.Repeat("A", oauth.MaxToken)},
		{"another server's", foreign.issue(t, time.Hour)},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, err := w.Check(t.Context(), row.token, now)
			require.ErrorIs(t, err, oauth.ErrInvalid)
			assert.Zero(t, c)
		})
	}
}

func TestATokenEndsWithItsClientAndItsProject(t *testing.T) {
	for _, row := range []struct {
		name string
		end  func(w *world) error
	}{
		{"the client is deleted", func(w *world) error { return w.store.DeleteOAuthClient(context.Background(), w.client.ID) }},
		{"the project is deleted", func(w *world) error { return w.store.DeleteProject(context.Background(), sender) }},
		{"another project has a client of that ID now", func(w *world) error {
			return errors.Join(
				w.store.DeleteOAuthClient(context.Background(), w.client.ID),
				w.store.CreateOAuthClient(context.Background(), &store.OAuthClient{ID: w.client.ID, Sender: other}))
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			token := w.issue(t, time.Hour)
			require.NoError(t, row.end(w))
			_, err := w.Check(t.Context(), token, now)
			require.ErrorIs(t, err, oauth.ErrRevoked)
		})
	}
}

func TestATokenThatCannotBeCheckedIsNotRefused(t *testing.T) {
	w := newWorld(t)
	token := w.issue(t, time.Hour)
	require.NoError(t, w.store.Close())
	_, err := w.Check(t.Context(), token, now)
	require.ErrorIs(t, err, store.ErrClosed)
	var refused oauth.Refusal
	assert.False(t, errors.As(err, &refused))
	_, err = w.Refresh(t.Context(), &oauth.Request{ClientID: w.client.ID, ClientSecret: w.client.Secret, RefreshToken: "1/x"}, now)
	require.ErrorIs(t, err, store.ErrClosed)
	_, err = oauth.New(t.Context(), w.store)
	require.ErrorIs(t, err, store.ErrClosed)
}

func TestATokenIsNeverTooLongToBeChecked(t *testing.T) {
	w := newWorld(t)
	for _, n := range []int{oauth.MaxToken - 300, oauth.MaxToken, 1 << 17} {
		_, err := w.Issue(sender, w.client.ID, strings.Repeat("s", n), now, time.Hour)
		assert.ErrorContains(t, err, "too long", n)
	}
	_, err := w.NewRefreshToken(t.Context(), w.client.ID, oauth.Grant{Scope: strings.Repeat("s", 401)}, now)
	require.ErrorIs(t, err, oauth.ErrScope)
	longest, err := w.NewRefreshToken(t.Context(), w.client.ID, oauth.Grant{Scope: strings.Repeat("s", 400)}, now)
	require.NoError(t, err)
	_, err = w.Refresh(t.Context(), &oauth.Request{ClientID: w.client.ID, ClientSecret: w.client.Secret, RefreshToken: longest}, now)
	require.NoError(t, err)
}

func TestRefresh(t *testing.T) {
	w := newWorld(t)
	token, err := w.NewRefreshToken(t.Context(), w.client.ID, oauth.Grant{Scope: scope}, now)
	require.NoError(t, err)
	second, err := w.NewClient(t.Context(), sender, "second", now)
	require.NoError(t, err)

	for _, row := range []struct {
		name, id, secret, token string
		want                    error
	}{
		{"a refresh token gives an access token", w.client.ID, w.client.Secret, token, nil},
		{"as often as one likes", w.client.ID, w.client.Secret, token, nil},
		{"a wrong secret", w.client.ID, second.Secret, token, oauth.ErrClient},
		{"no secret", w.client.ID, "", token, oauth.ErrClient},
		{"an unknown client", "nobody", w.client.Secret, token, oauth.ErrClient},
		{"an unknown refresh token", w.client.ID, w.client.Secret, "1/x", oauth.ErrGrant},
		{"another client's refresh token", second.ID, second.Secret, token, oauth.ErrGrant},
	} {
		t.Run(row.name, func(t *testing.T) {
			access, err := w.Refresh(t.Context(), &oauth.Request{ClientID: row.id, ClientSecret: row.secret, RefreshToken: row.token}, now)
			if row.want != nil {
				require.ErrorIs(t, err, row.want)
				assert.Empty(t, access)
				return
			}
			require.NoError(t, err)
			c, err := w.Check(t.Context(), access.Token, now.Add(oauth.Life-time.Second))
			require.NoError(t, err)
			assert.Equal(t, oauth.Claims{Sender: sender, Client: w.client.ID, Scope: scope, Issued: now, Expires: now.Add(oauth.Life)}, c)
		})
	}

	t.Run("a revoked refresh token gives none", func(t *testing.T) {
		require.NoError(t, w.store.DeleteRefreshToken(t.Context(), store.HashKey(token)))
		_, err := w.Refresh(t.Context(), &oauth.Request{ClientID: w.client.ID, ClientSecret: w.client.Secret, RefreshToken: token}, now)
		require.ErrorIs(t, err, oauth.ErrGrant)
	})
}

func TestARevokedTokenIsNoLongerValid(t *testing.T) {
	for _, row := range []struct {
		name   string
		revoke func(w *world, refresh, access string) error
		lives  bool // the refresh token lives on
	}{
		{"the refresh token is revoked", func(w *world, refresh, _ string) error {
			s, err := w.Revoke(context.Background(), refresh, now)
			assert.Equal(t, sender, s)
			return err
		}, false},
		{"the access token is revoked, which stands for its refresh token", func(w *world, _, access string) error {
			_, err := w.Revoke(context.Background(), access, now)
			return err
		}, false},
		{"all access tokens of the client are revoked", func(w *world, _, _ string) error {
			return w.RevokeAccessTokens(context.Background(), w.client.ID)
		}, true},
		{"the client is deleted", func(w *world, _, _ string) error {
			return w.DeleteClient(context.Background(), w.client.ID)
		}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			refresh, err := w.NewRefreshToken(t.Context(), w.client.ID, oauth.Grant{}, now)
			require.NoError(t, err)
			ask := &oauth.Request{ClientID: w.client.ID, ClientSecret: w.client.Secret, RefreshToken: refresh}
			access, err := w.Refresh(t.Context(), ask, now)
			require.NoError(t, err)
			_, err = w.Check(t.Context(), access.Token, now)
			require.NoError(t, err, "and it is cached")

			require.NoError(t, row.revoke(w, refresh, access.Token))
			_, err = w.Check(t.Context(), access.Token, now)
			require.ErrorIs(t, err, oauth.ErrRevoked)
			again, err := w.Refresh(t.Context(), ask, now)
			if !row.lives {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			_, err = w.Check(t.Context(), again.Token, now)
			require.NoError(t, err)
		})
	}
}

func TestRevokeKnowsOnlyTokensThatAreValid(t *testing.T) {
	w := newWorld(t)
	refresh, err := w.NewRefreshToken(t.Context(), w.client.ID, oauth.Grant{}, now)
	require.NoError(t, err)
	access, err := w.Refresh(t.Context(), &oauth.Request{ClientID: w.client.ID, ClientSecret: w.client.Secret, RefreshToken: refresh}, now)
	require.NoError(t, err)
	for _, row := range []struct {
		name, token string
		now         time.Time
	}{
		{"an unknown refresh token", "1/x", now},
		{"nothing", "", now},
		{"no token of this server", oauth.Prefix + "x", now},
		{"an expired access token", access.Token, now.Add(oauth.Life)},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := w.Revoke(t.Context(), row.token, row.now)
			require.ErrorIs(t, err, oauth.ErrInvalid)
		})
	}
	_, err = w.Revoke(t.Context(), refresh, now)
	require.NoError(t, err)
	_, err = w.Revoke(t.Context(), refresh, now)
	require.ErrorIs(t, err, oauth.ErrInvalid, "once")
}

// countingStore counts the reads of a store.
type countingStore struct {
	*memstore.Store
	reads int
}

func (s *countingStore) OAuthClient(ctx context.Context, id string) (*store.OAuthClient, error) {
	s.reads++
	return s.Store.OAuthClient(ctx, id)
}

// Another node revokes through the store only. This node notices it within a second, and reads
// seldom until then.
func TestChecksReadTheStoreSeldomAndNoticeARevocationElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &countingStore{Store: memstore.New()}
		require.NoError(t, st.CreateProject(t.Context(), &store.Project{Sender: sender}))
		here, err := oauth.New(t.Context(), st)
		require.NoError(t, err)
		there, err := oauth.New(t.Context(), st.Store)
		require.NoError(t, err)
		client, err := there.NewClient(t.Context(), sender, "", now)
		require.NoError(t, err)
		token, err := there.Issue(sender, client.ID, scope, now, time.Hour)
		require.NoError(t, err)
		for range 1000 {
			_, err = here.Check(t.Context(), token, now)
			require.NoError(t, err)
		}
		assert.Equal(t, 1, st.reads)

		require.NoError(t, there.RevokeAccessTokens(t.Context(), client.ID))
		_, err = there.Check(t.Context(), token, now)
		require.ErrorIs(t, err, oauth.ErrRevoked, "at once where it was revoked")
		time.Sleep(900 * time.Millisecond)
		_, err = here.Check(t.Context(), token, now)
		require.ErrorIs(t, err, oauth.ErrRevoked)
	})
}

func TestImportedCredentialsWorkAsTheyAre(t *testing.T) {
	w := newWorld(t)
	given := oauth.Client{ID: "291796959215.apps.googleusercontent.com", Secret: "0bKUtXN6ykk7Mj1lQxoBZ2mh"}
	got, err := w.ImportClient(t.Context(), sender, "old", given, now)
	require.NoError(t, err)
	assert.Equal(t, given, got)
	const refresh = "1%wMfyZvG/raw"
	require.NoError(t, w.ImportRefreshToken(t.Context(), given.ID, refresh, oauth.Grant{}, now))
	access, err := w.Refresh(t.Context(), &oauth.Request{ClientID: given.ID, ClientSecret: given.Secret, RefreshToken: refresh}, now)
	require.NoError(t, err)
	c, err := w.Check(t.Context(), access.Token, now)
	require.NoError(t, err)
	assert.Equal(t, oauth.DefaultScope, c.Scope)

	_, err = w.ImportClient(t.Context(), sender, "again", given, now)
	require.ErrorIs(t, err, store.ErrExists)
	require.ErrorIs(t, w.ImportRefreshToken(t.Context(), w.client.ID, refresh, oauth.Grant{}, now), store.ErrExists)
	for _, bad := range []string{"a b", "tab\t", strings.Repeat("x", 1000), "é"} {
		_, err = w.ImportClient(t.Context(), sender, "", oauth.Client{ID: bad}, now)
		require.ErrorIs(t, err, oauth.ErrCredentials)
		_, err = w.ImportClient(t.Context(), sender, "", oauth.Client{Secret: bad}, now)
		require.ErrorIs(t, err, oauth.ErrCredentials)
		require.ErrorIs(t, w.ImportRefreshToken(t.Context(), given.ID, bad, oauth.Grant{}, now), oauth.ErrCredentials)
	}
}

// A user's token only serves to learn a channel ID, and a project's token does not serve that
// (CCS 7.1, 7.5).
func TestAUsersTokenIsNoSenders(t *testing.T) {
	w := newWorld(t)
	const user = "08144192009958038014"
	refresh, err := w.NewRefreshToken(t.Context(), w.client.ID, oauth.Grant{User: user}, now)
	require.NoError(t, err)
	access, err := w.Refresh(t.Context(), &oauth.Request{ClientID: w.client.ID, ClientSecret: w.client.Secret, RefreshToken: refresh}, now)
	require.NoError(t, err)
	_, err = w.Check(t.Context(), access.Token, now)
	require.ErrorIs(t, err, oauth.ErrUser)
	_, _, _, err = w.TokenOwner(t.Context(), access.Token, now)
	require.ErrorIs(t, err, oauth.ErrUser)
	c, err := w.CheckUser(t.Context(), access.Token, now)
	require.NoError(t, err)
	assert.Equal(t, user, c.User)
	assert.Equal(t, oauth.DefaultUserScope, c.Scope)
	_, err = w.CheckUser(t.Context(), w.issue(t, time.Hour), now)
	require.ErrorIs(t, err, oauth.ErrNoUser)
	_, err = w.NewRefreshToken(t.Context(), w.client.ID, oauth.Grant{User: "me"}, now)
	require.ErrorIs(t, err, oauth.ErrCredentials)
}

func TestAnAccessTokenMayHaveAPartOfTheScope(t *testing.T) {
	w := newWorld(t)
	refresh, err := w.NewRefreshToken(t.Context(), w.client.ID, oauth.Grant{}, now)
	require.NoError(t, err)
	ask := &oauth.Request{ClientID: w.client.ID, ClientSecret: w.client.Secret, RefreshToken: refresh, Scope: oauth.ScopeChrome}
	access, err := w.Refresh(t.Context(), ask, now)
	require.NoError(t, err)
	c, err := w.Check(t.Context(), access.Token, now)
	require.NoError(t, err)
	assert.Equal(t, oauth.ScopeChrome, c.Scope)
	ask.Scope = "https://www.googleapis.com/auth/drive"
	_, err = w.Refresh(t.Context(), ask, now)
	require.ErrorIs(t, err, oauth.ErrWiderScope)
}

func TestNobodyGetsCredentialsForWhatIsNotThere(t *testing.T) {
	w := newWorld(t)
	_, err := w.NewClient(t.Context(), "1", "x", now)
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = w.NewRefreshToken(t.Context(), "nobody", oauth.Grant{Scope: scope}, now)
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestSecretsAreKeptAsHashesAlone(t *testing.T) {
	w := newWorld(t)
	token, err := w.NewRefreshToken(t.Context(), w.client.ID, oauth.Grant{Scope: scope}, now)
	require.NoError(t, err)
	assert.Regexp(t, `^126200347933-[a-z2-7]{32}\.apps\.googleusercontent\.com$`, w.client.ID)
	assert.Regexp(t, `^1/[A-Za-z0-9_-]{43}$`, token)
	c, err := w.store.OAuthClient(t.Context(), w.client.ID)
	require.NoError(t, err)
	assert.Equal(t, &store.OAuthClient{ID: w.client.ID, Sender: sender, Name: "test", SecretHash: store.HashKey(w.client.Secret), Created: now}, c)
	r, err := w.store.RefreshToken(t.Context(), store.HashKey(token))
	require.NoError(t, err)
	assert.Equal(t, &store.RefreshToken{Hash: store.HashKey(token), Client: w.client.ID, Sender: sender, Scope: scope, Created: now}, r)
}

// Check never panics, and accepts only tokens that were issued.
func FuzzCheck(f *testing.F) {
	w := newWorld(f)
	good := w.issue(f, time.Hour)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(oauth.Prefix)
	f.Add(oauth.Prefix + strings.Repeat("A", 66))
	f.Fuzz(func(t *testing.T, token string) {
		_, err := w.Check(t.Context(), token, now)
		if token == good {
			require.NoError(t, err)
			return
		}
		require.ErrorIs(t, err, oauth.ErrInvalid)
	})
}

// Check finds the claims of each issued token, with any words in them.
func FuzzIssue(f *testing.F) {
	w := newWorld(f)
	f.Add("client", scope, int64(3600))
	f.Add("", "", int64(1))
	f.Fuzz(func(t *testing.T, client, scope string, seconds int64) {
		if seconds <= 0 || seconds > 1<<32 {
			t.Skip("no life for a token")
		}
		life := time.Duration(seconds) * time.Second
		token, err := w.Issue(sender, client, scope, now, life)
		if err != nil {
			assert.Greater(t, len(client)+len(scope), oauth.MaxToken/2)
			return
		}
		// It may exist since the last round.
		_ = w.store.CreateOAuthClient(t.Context(), &store.OAuthClient{ID: client, Sender: sender})
		got, err := w.Check(t.Context(), token, now)
		require.NoError(t, err)
		assert.Equal(t, oauth.Claims{Sender: sender, Client: client, Scope: scope, Issued: now, Expires: now.Add(life)}, got)
	})
}
