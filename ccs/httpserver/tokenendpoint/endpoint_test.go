package tokenendpoint_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/ccs/httpserver/tokenendpoint"
	"github.com/openccs/openccs/ccs/oauth"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
)

const (
	sender  = "126200347933"
	id      = "291796959215.apps.googleusercontent.com"
	secret  = "0bKUtXN6ykk7Mj1lQxoBZ2mh"
	refresh = "1%wMfyZvG/raw" // CCS 7.1: a raw "%" and a raw "/"
)

var now = time.Unix(1_400_000_000, 0)

// world is the endpoint on a store with the client of the documentation.
type world struct {
	*oauth.Issuer
	store   *memstore.Store
	handler http.Handler
	now     time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx := t.Context()
	w := &world{store: memstore.New(), now: now}
	require.NoError(t, w.store.CreateProject(ctx, &store.Project{Sender: sender}))
	var err error
	w.Issuer, err = oauth.New(ctx, w.store)
	require.NoError(t, err)
	_, err = w.ImportClient(ctx, sender, "", oauth.Client{ID: id, Secret: secret}, now)
	require.NoError(t, err)
	require.NoError(t, w.ImportRefreshToken(ctx, id, refresh, oauth.Grant{}, now))
	w.handler = httpserver.New(nil, httpserver.Options{
		Routes: tokenendpoint.New(w, tokenendpoint.Options{Now: func() time.Time { return w.now }}),
	}).Handler()
	return w
}

func (w *world) do(method, target, body string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for k, v := range header {
		r.Header[k] = v
	}
	got := httptest.NewRecorder()
	w.handler.ServeHTTP(got, r)
	return got
}

func (w *world) post(body string) *httptest.ResponseRecorder {
	return w.do("POST", "/o/oauth2/token", body, nil)
}

// good is the request of the documentation, on one line.
const good = "client_id=" + id + "&client_secret=" + secret + "&refresh_token=" + refresh + "&grant_type=refresh_token"

// CCS 7.1: whatever form and path clients were seen to use.
func TestARefreshTokenGivesAnAccessToken(t *testing.T) {
	basic := func(user, password string) http.Header {
		r := httptest.NewRequest("POST", "/", nil)
		r.SetBasicAuth(user, password)
		return r.Header
	}
	for _, row := range []struct {
		name, path, body string
		header           http.Header
	}{
		{"on one line", "/o/oauth2/token", good, nil},
		{"folded", "/o/oauth2/token", strings.ReplaceAll(good, "&", "&\n"), nil},
		{"folded with CR LF and blanks", "/o/oauth2/token", strings.ReplaceAll(good, "&", "&\r\n  ") + "\r\n", nil},
		{"the percent sign is escaped", "/o/oauth2/token", strings.Replace(good, refresh, url.QueryEscape(refresh), 1), nil},
		{"in another order", "/o/oauth2/token", "grant_type=refresh_token&refresh_token=" + refresh + "&client_secret=" + secret + "&client_id=" + id, nil},
		{"with a parameter of other clients", "/o/oauth2/token", good + "&redirect_uri=https%3A%2F%2Fexample.org", nil},
		{"a doubled slash", "//o/oauth2/token", good, nil},
		{"v2", "/o/oauth2/v2/token", good, nil},
		{"v4", "/oauth2/v4/token", good, nil},
		{"short", "/token", good, nil},
		{"misspelt", "/o/auth2/auth", good, nil},
		{"HTTP Basic", "/o/oauth2/token", "refresh_token=" + refresh + "&grant_type=refresh_token", basic(id, secret)},
		{"HTTP Basic, and the client ID again", "/o/oauth2/token", "client_id=" + id + "&refresh_token=" + refresh + "&grant_type=refresh_token", basic(id, secret)},
		{"another content type", "/o/oauth2/token", good, http.Header{"Content-Type": {"text/plain"}}},
		{"a part of the scope", "/o/oauth2/token", good + "&scope=" + url.QueryEscape(oauth.ScopeChrome), nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			got := w.do("POST", "https://accounts.google.com"+row.path, row.body, row.header)
			require.Equal(t, http.StatusOK, got.Code, got.Body.String())
			assert.Regexp(t, `^\{"access_token":"ya29\.[A-Za-z0-9_-]+","expires_in":3920,"token_type":"Bearer"\}$`, got.Body.String())
			assert.Equal(t, "no-store", got.Header().Get("Cache-Control"))
			assert.Equal(t, "application/json", got.Header().Get("Content-Type"))
			token := strings.Split(got.Body.String(), `"`)[3]
			c, err := w.Check(t.Context(), token, now.Add(3919*time.Second))
			require.NoError(t, err)
			assert.Equal(t, sender, c.Sender)
			_, err = w.Check(t.Context(), token, now.Add(3920*time.Second))
			require.ErrorIs(t, err, oauth.ErrExpired)
		})
	}
}

func TestRefusedRequests(t *testing.T) {
	w := newWorld(t)
	for _, row := range []struct {
		name, body string
		status     int
		word       string
	}{
		{"nothing", "", 400, "invalid_request"},
		{"no grant type", "client_id=" + id + "&client_secret=" + secret + "&refresh_token=" + refresh, 400, "invalid_request"},
		{"another grant type", strings.Replace(good, "=refresh_token", "=authorization_code", 1), 400, "unsupported_grant_type"},
		{"no refresh token", "client_id=" + id + "&client_secret=" + secret + "&grant_type=refresh_token", 400, "invalid_request"},
		{"no client", "refresh_token=" + refresh + "&grant_type=refresh_token", 400, "invalid_request"},
		{"a parameter twice", good + "&client_id=" + id, 400, "invalid_request"},
		{"JSON", `{"client_id":"` + id + `"}`, 400, "invalid_request"},
		{"an unknown client", strings.Replace(good, id, "nobody", 1), 401, "invalid_client"},
		{"a wrong secret", strings.Replace(good, secret, "wrong", 1), 401, "invalid_client"},
		{"an unknown refresh token", strings.Replace(good, refresh, "1/x", 1), 400, "invalid_grant"},
		{"a wider scope", good + "&scope=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fdrive", 400, "invalid_scope"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := w.post(row.body)
			assert.Equal(t, row.status, got.Code)
			assert.True(t, strings.HasPrefix(got.Body.String(), `{"error":"`+row.word+`","error_description":"`), got.Body.String())
			assert.Equal(t, "no-store", got.Header().Get("Cache-Control"))
		})
	}
	got := w.do("GET", "/o/oauth2/token?"+good, "", nil)
	assert.Equal(t, http.StatusMethodNotAllowed, got.Code)
	assert.Equal(t, "POST", got.Header().Get("Allow"))
	got = w.post(good + "&x=" + strings.Repeat("x", 20_000))
	assert.Equal(t, http.StatusRequestEntityTooLarge, got.Code)

	require.NoError(t, w.store.Close())
	got = w.post(good)
	assert.Equal(t, http.StatusServiceUnavailable, got.Code)
	assert.NotEmpty(t, got.Header().Get("Retry-After"))
}

// CCS 7.1: the path inside the Host header is a 400, as the sample of the first document has it.
func TestAPathInsideTheHostHeaderIsRefused(t *testing.T) {
	w := newWorld(t)
	s := httptest.NewServer(w.handler)
	defer s.Close()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	_, err = fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: accounts.google.com/o/oauth2/token\r\nContent-Length: %d\r\n\r\n%s", len(good), good)
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
}

func TestARefreshTokenIsExchangedAtALimitedRate(t *testing.T) {
	w := newWorld(t)
	var access string
	for range 20 {
		got := w.post(good)
		require.Equal(t, http.StatusOK, got.Code)
		access = strings.Split(got.Body.String(), `"`)[3]
	}
	got := w.post(good)
	assert.Equal(t, http.StatusForbidden, got.Code)
	assert.Equal(t, `{"error":"rate_limit_exceeded"}`, got.Body.String())
	assert.Equal(t, "60", got.Header().Get("Retry-After"))
	_, err := w.Check(t.Context(), access, now)
	require.NoError(t, err, "access tokens keep working")

	require.NoError(t, w.ImportRefreshToken(t.Context(), id, "another", oauth.Grant{}, now))
	assert.Equal(t, http.StatusOK, w.post(strings.Replace(good, refresh, "another", 1)).Code)

	w.now = now.Add(time.Minute)
	assert.Equal(t, http.StatusOK, w.post(good).Code)
	assert.Equal(t, http.StatusForbidden, w.post(good).Code, "sixty an hour")
}

func TestRevoke(t *testing.T) {
	for _, row := range []struct {
		name   string
		revoke func(w *world, access string) *httptest.ResponseRecorder
	}{
		{"GET with a refresh token", func(w *world, _ string) *httptest.ResponseRecorder {
			return w.do("GET", "/o/oauth2/revoke?token="+url.QueryEscape(refresh), "", nil)
		}},
		{"GET with a raw refresh token", func(w *world, _ string) *httptest.ResponseRecorder {
			r := httptest.NewRequest("GET", "/o/oauth2/revoke", nil)
			r.URL.RawQuery = "token=" + refresh
			got := httptest.NewRecorder()
			w.handler.ServeHTTP(got, r)
			return got
		}},
		{"POST with a form", func(w *world, _ string) *httptest.ResponseRecorder {
			return w.do("POST", "/revoke", "token="+refresh, nil)
		}},
		{"POST with a query", func(w *world, _ string) *httptest.ResponseRecorder {
			return w.do("POST", "/o/oauth2/revoke?token="+url.QueryEscape(refresh), "", nil)
		}},
		{"an access token", func(w *world, access string) *httptest.ResponseRecorder {
			return w.do("POST", "/o/oauth2/revoke", "token="+access, nil)
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			access := strings.Split(w.post(good).Body.String(), `"`)[3]
			got := row.revoke(w, access)
			require.Equal(t, http.StatusOK, got.Code, got.Body.String())
			assert.Equal(t, `{}`, got.Body.String())
			_, err := w.Check(t.Context(), access, now)
			require.ErrorIs(t, err, oauth.ErrRevoked, "its access tokens end at once")
			assert.Contains(t, w.post(good).Body.String(), `"invalid_grant"`)
			got = row.revoke(w, access)
			assert.Equal(t, http.StatusBadRequest, got.Code)
			assert.Equal(t, `{"error":"invalid_token"}`, got.Body.String())
		})
	}
	w := newWorld(t)
	assert.Contains(t, w.do("GET", "/revoke", "", nil).Body.String(), `"invalid_request"`)
	assert.Contains(t, w.do("POST", "/revoke", "token=", nil).Body.String(), `"invalid_request"`)
}

// A form can be anything: no panic, and a form that net/url reads is read alike.
func FuzzToken(f *testing.F) {
	f.Add(good)
	f.Add("client_id=%zz&%=%%&a=%4")
	st := memstore.New()
	issuer, err := oauth.New(context.Background(), st)
	require.NoError(f, err)
	handler := httpserver.New(nil, httpserver.Options{Routes: tokenendpoint.New(issuer, tokenendpoint.Options{})}).Handler()
	f.Fuzz(func(t *testing.T, body string) {
		got := httptest.NewRecorder()
		handler.ServeHTTP(got, httptest.NewRequest("POST", "/token", strings.NewReader(body)))
		assert.GreaterOrEqual(t, got.Code, 400, "nobody has a token")
		_, err := io.ReadAll(got.Body)
		require.NoError(t, err)
	})
}
