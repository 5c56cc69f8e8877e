package xmppserver_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/oauth"
	"github.com/openccs/openccs/ccs/xmppserver"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
)

// issuerOfItsWorld is a TokenChecker that newWorld can get before the world's store exists.
type issuerOfItsWorld struct{ *oauth.Issuer }

// newOAuthWorld returns a world that accepts access tokens, with a client of the sender and one of
// another sender.
func newOAuthWorld(t *testing.T) (w *world, issuer *oauth.Issuer, client, stranger oauth.Client) {
	t.Helper()
	ctx := context.Background()
	tokens := &issuerOfItsWorld{}
	w = newWorld(t, xmppserver.Options{DrainMin: 10 * time.Millisecond}, ccs.Options{Tokens: tokens})
	const other = "999999999999"
	require.NoError(t, w.store.CreateProject(ctx, &store.Project{Sender: other}))
	var err error
	tokens.Issuer, err = oauth.New(ctx, w.store)
	require.NoError(t, err)
	client, err = tokens.NewClient(ctx, testSender, "ours", time.Now())
	require.NoError(t, err)
	stranger, err = tokens.NewClient(ctx, other, "theirs", time.Now())
	require.NoError(t, err)
	return w, tokens.Issuer, client, stranger
}

// saslAuth returns an <auth> of any mechanism, with the attributes of Google's libraries (CCS 1.6).
func saslAuth(mechanism, credential string) string {
	return strings.Replace(plainAuth("\x00"+testSender+"\x00"+credential), "mechanism='PLAIN'",
		`mechanism="`+mechanism+`" auth:service="oauth2" xmlns:auth="http://www.google.com/talk/protocol/auth"`, 1)
}

// Google's own mechanisms carry an access token or the key; PLAIN carries only the key (CCS 1.6).
func TestLoginWithAccessTokens(t *testing.T) {
	t.Parallel()
	w, issuer, client, stranger := newOAuthWorld(t)
	now := time.Now()
	issue := func(sender, clientID string, life time.Duration) string {
		token, err := issuer.Issue(sender, clientID, "https://www.googleapis.com/auth/gcm_for_chrome", now, life)
		require.NoError(t, err)
		return token
	}
	foreignIssuer, err := oauth.New(t.Context(), memstore.New())
	require.NoError(t, err)
	foreign, err := foreignIssuer.Issue(testSender, client.ID, "", now, time.Hour)
	require.NoError(t, err)
	const (
		ok      = `<success xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>`
		refused = `<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><not-authorized/></failure>`
	)
	token := issue(testSender, client.ID, time.Hour)
	for _, row := range []struct{ name, mechanism, credential, want string }{
		{"X-OAUTH2 with an access token", "X-OAUTH2", token, ok},
		{"X-GOOGLE-TOKEN with an access token", "X-GOOGLE-TOKEN", token, ok},
		{"X-OAUTH2 with the key, as Smack sends it", "X-OAUTH2", testKey, ok},
		{"PLAIN with the key", "PLAIN", testKey, ok},
		{"PLAIN takes no access token", "PLAIN", token, refused},
		{"an expired token", "X-OAUTH2", issue(testSender, client.ID, 0), refused},
		{"another sender's token", "X-OAUTH2", issue("999999999999", stranger.ID, time.Hour), refused},
		{"a token of a client that is not there", "X-OAUTH2", issue(testSender, "nobody", time.Hour), refused},
		{"another server's token", "X-GOOGLE-TOKEN", foreign, refused},
		{"the longest token that could be", "X-OAUTH2", oauth.Prefix + strings.Repeat("A", oauth.MaxToken-len(oauth.Prefix)), refused},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := w.dial()
			p.t = t
			p.send(clientHeader)
			p.until("</stream:features>")
			p.send(saslAuth(row.mechanism, row.credential))
			assert.Equal(t, row.want, p.until(row.want[len(row.want)-10:]))
		})
	}
}

func TestADeletedClientsConnectionsDrain(t *testing.T) {
	t.Parallel()
	w, issuer, client, _ := newOAuthWorld(t)
	token, err := issuer.Issue(testSender, client.ID, "", time.Now(), time.Hour)
	require.NoError(t, err)
	byKey := w.login()
	byToken := w.dial()
	byToken.send(clientHeader + saslAuth("X-OAUTH2", token) + clientHeader + clientBind)
	byToken.until("</bind></iq>")
	require.NoError(t, w.server.KeysChanged(t.Context(), testSender))
	byToken.quiet()
	require.NoError(t, w.store.DeleteOAuthClient(t.Context(), client.ID))
	require.NoError(t, w.server.KeysChanged(t.Context(), testSender))
	assert.Contains(t, byToken.rest(), "CONNECTION_DRAINING")
	byKey.quiet()
}

// CCS 7.1: when all access tokens of a client are revoked, the connections that logged in with
// one drain too.
func TestConnectionsOfRevokedAccessTokensDrain(t *testing.T) {
	t.Parallel()
	w, issuer, client, _ := newOAuthWorld(t)
	token, err := issuer.Issue(testSender, client.ID, "", time.Now(), time.Hour)
	require.NoError(t, err)
	p := w.dial()
	p.send(clientHeader + saslAuth("X-OAUTH2", token) + clientHeader + clientBind)
	p.until("</bind></iq>")
	require.NoError(t, w.server.KeysChanged(t.Context(), testSender))
	p.quiet()
	require.NoError(t, issuer.RevokeAccessTokens(t.Context(), client.ID))
	require.NoError(t, w.server.KeysChanged(t.Context(), testSender))
	assert.Contains(t, p.rest(), "CONNECTION_DRAINING")
}
