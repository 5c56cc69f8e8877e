package chrome_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/ccs/httpserver/chrome"
	"github.com/openccs/openccs/ccs/oauth"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
)

const (
	sender  = "126200347933"
	user    = "08144192009958038014"
	app     = "aaaaaaaaaabbbbbbbbbbcccccccccc"
	channel = user + "/" + app

	first = "/chromewebstore/v1.1/notifications"
	final = "/gcm_for_chrome/v1/messages"
)

var now = time.Unix(1_400_000_000, 0)

// world is the door over a router, with a project that owns the app and a user that has it on one
// device.
type world struct {
	*ccs.Router
	t       testing.TB
	issuer  *oauth.Issuer
	store   *memstore.Store
	handler http.Handler
	device  ccs.DeviceID
	secret  uint64 // the device's security token
	token   string // an access token of the project
}

func newWorld(t testing.TB, o chrome.Options) *world {
	t.Helper()
	ctx := context.Background()
	w := &world{t: t, store: memstore.New()}
	for _, s := range []string{sender, "999999999999"} {
		require.NoError(t, w.store.CreateProject(ctx, &store.Project{Sender: s}))
	}
	require.NoError(t, w.store.AddApp(ctx, &store.App{ID: app, Sender: sender}))
	require.NoError(t, w.store.AddApp(ctx, &store.App{ID: "theirs", Sender: "999999999999"}))
	var err error
	w.issuer, err = oauth.New(ctx, w.store)
	require.NoError(t, err)
	w.Router, err = ccs.New(ctx, w.store, ccs.Options{Tokens: w.issuer, Clock: clock{}})
	require.NoError(t, err)
	o.Now = w.Now
	w.handler = httpserver.New(w.Router, httpserver.Options{
		Routes: chrome.Routes(w.Router, httpserver.NewAuth(w.Router, httpserver.AuthOptions{}), w.issuer, o),
	}).Handler()
	w.token = w.access(oauth.Grant{})
	id, secret, err := w.CheckIn(ctx, 0, 0)
	require.NoError(t, err)
	w.device, w.secret = ccs.DeviceID(id), secret
	return w
}

type clock struct{}

func (clock) Now() time.Time { return now }

// access returns an access token of a grant.
func (w *world) access(g oauth.Grant) string {
	w.t.Helper()
	ctx := context.Background()
	c, err := w.issuer.NewClient(ctx, sender, "", now)
	require.NoError(w.t, err)
	refresh, err := w.issuer.NewRefreshToken(ctx, c.ID, g, now)
	require.NoError(w.t, err)
	got, err := w.issuer.Refresh(ctx, &oauth.Request{ClientID: c.ID, ClientSecret: c.Secret, RefreshToken: refresh}, now)
	require.NoError(w.t, err)
	return got.Token
}

func (w *world) do(method, target, auth, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if auth != "" {
		r.Header.Set("Authorization", auth)
	}
	got := httptest.NewRecorder()
	w.handler.ServeHTTP(got, r)
	return got
}

// send sends a body with a good token.
func (w *world) send(body string) *httptest.ResponseRecorder {
	return w.do("POST", final, "Bearer "+w.token, body)
}

// register makes the device an instance.
func (w *world) register(form string) *httptest.ResponseRecorder {
	return w.do("POST", "/gcm_for_chrome/v1/channels", fmt.Sprintf("AidLogin %d:%d", w.device, w.secret), form)
}

// waiting is what waits for the device, by subchannel.
func (w *world) waiting() map[string]string {
	w.t.Helper()
	entries, err := w.store.Claim(context.Background(), w.device.Key(), 1, 100, now)
	require.NoError(w.t, err)
	require.NoError(w.t, w.store.Release(context.Background(), w.device.Key(), 1))
	got := map[string]string{}
	for i := range entries {
		var m ccs.Message
		require.NoError(w.t, m.Decode(entries[i].Body))
		sub, _ := m.Data.Get("subchannelId")
		got[sub], _ = m.Data.Get("payload")
	}
	return got
}

// envelope is the body of an error, byte for byte (CCS 7.4).
func envelope(reason string, code int, message string) string {
	return fmt.Sprintf(`{"error":{"errors":[{"domain":"global","reason":%q,"message":%q}],"code":%d,"message":%q}}`, reason, message, code, message)
}

const (
	badSubchannel = "Subchannel is invalid (four subchannels available; subchannel value must be 0, 1, 2, or 3)."
	badPayload    = "Payload is too long (must be 256 bytes or less)."
	badOwner      = "Google Account calling the push messaging service does not own the app or extension."
)

// CCS 7.2, 7.7: both revisions, four ways to pass the token, and what clients were seen to write.
func TestAMessageIsAccepted(t *testing.T) {
	member := func(sub string) string {
		return `{"channelId":"` + channel + `","subchannelId":` + sub + `,"payload":"ping"}`
	}
	query := url.Values{"channelId": {channel}, "subchannelId": {"0"}, "payload": {"ping"}}.Encode()
	for _, row := range []struct{ name, target, scheme, body, want string }{
		{"first revision", first, "Bearer ", member(`"0"`), "ping"},
		{"final revision", final, "Bearer ", member(`"0"`), "ping"},
		{"the scheme OAuth", final, "OAuth ", member(`"0"`), "ping"},
		{"the token in the query", final + "?access_token=TOKEN", "", member(`"0"`), "ping"},
		{"everything in the query", final + "?" + query, "Bearer ", "", "ping"},
		{"everything in the query, the token too", first + "?" + query + "&access_token=TOKEN", "", "", "ping"},
		{"a number", final, "Bearer ", member(`0`), "ping"},
		{"single quotes, as the first document prints it", first, "Bearer ",
			"{\n'channelId': '" + channel + "',\n'subchannelId': '0',\n'payload': 'ping'\n}", "ping"},
		{"double quotes inside single ones", first, "Bearer ", `{'channelId':'` + channel + `','subchannelId':'0','payload':'{"a":"b"}'}`, `{"a":"b"}`},
		{"an escaped single quote", first, "Bearer ", `{'channelId':'` + channel + `','subchannelId':'0','payload':'it\'s'}`, "it's"},
		{"no payload", final, "Bearer ", `{"channelId":"` + channel + `","subchannelId":"0"}`, ""},
		{"null for a payload", final, "Bearer ", `{"channelId":"` + channel + `","subchannelId":"0","payload":null}`, ""},
		{"an empty payload", final, "Bearer ", `{"channelId":"` + channel + `","subchannelId":"0","payload":""}`, ""},
		{"escapes", final, "Bearer ", `{"channelId":"` + strings.Replace(channel, "/", `\/`, 1) + `","subchannelId":"0","payload":"\u00e9\ud83d\ude00\n\ud83d"}`, "é😀\n\ufffd"},
		{"256 bytes", final, "Bearer ", `{"channelId":"` + channel + `","subchannelId":"0","payload":"` + strings.Repeat("é", 128) + `"}`, strings.Repeat("é", 128)},
		{"other members", final, "Bearer ", `{"x":{"a":[1,"b",{}],"c":null},"channelId":"` + channel + `","subchannelId":"0","payload":"ping","y":-1.5e3}`, "ping"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, chrome.Options{})
			require.Equal(t, http.StatusOK, w.register("user="+user+"&app="+app).Code)
			auth := ""
			if row.scheme != "" {
				auth = row.scheme + w.token
			}
			got := w.do("POST", "https://www.googleapis.com"+strings.Replace(row.target, "TOKEN", w.token, 1), auth, row.body)
			require.Equal(t, http.StatusNoContent, got.Code, got.Body.String())
			assert.Empty(t, got.Body.String())
			assert.Equal(t, map[string]string{"0": row.want}, w.waiting())
		})
	}
}

func TestTheStatusOfSuccessAndOfABadTokenCanBeChosen(t *testing.T) {
	w := newWorld(t, chrome.Options{SuccessStatus: 200, AuthStatus: 403})
	require.NoError(t, w.store.AddUser(t.Context(), user))
	got := w.send(`{"channelId":"` + channel + `","subchannelId":"3"}`)
	assert.Equal(t, http.StatusOK, got.Code)
	assert.Equal(t, "{}", got.Body.String())
	got = w.do("POST", final, "Bearer ya29.x", "{}")
	assert.Equal(t, http.StatusForbidden, got.Code)
	assert.Equal(t, envelope("authError", 403, "Invalid Credentials"), got.Body.String())
}

// CCS 7.4: every error, in its order, and nothing is stored.
func TestAMessageIsRefused(t *testing.T) {
	w := newWorld(t, chrome.Options{})
	require.Equal(t, http.StatusOK, w.register("user="+user+"&app="+app).Code)
	long := strings.Repeat("x", 257)
	body := func(channel, sub, payload string) string {
		return fmt.Sprintf(`{"channelId":%q,"subchannelId":%s,"payload":%q}`, channel, sub, payload)
	}
	good := body(channel, `"0"`, "x")
	bearer := "Bearer " + w.token
	readonly := "Bearer " + w.access(oauth.Grant{User: user})
	elsewhere := "Bearer " + w.access(oauth.Grant{Scope: "https://www.googleapis.com/auth/drive"})
	parse := envelope("parseError", 400, "Parse Error")
	invalid := envelope("invalid", 400, "Channel ID is invalid.")
	unauthorized := envelope("authError", 401, "Invalid Credentials")
	for _, row := range []struct {
		name, auth, body string
		status           int
		want             string
	}{
		{"no token, before all else", "", "{", 500, envelope("internalError", 500, "An internal error has occurred.")},
		{"a bad token", "Bearer ya29.x", "{", 401, unauthorized},
		{"an API key", "key=AIzaX", good, 401, unauthorized},
		{"a user's token", readonly, good, 401, unauthorized},
		{"another scope", elsewhere, good, 401, unauthorized},
		{"no JSON", bearer, "ping", 400, parse},
		{"no object", bearer, `["a"]`, 400, parse},
		{"an apostrophe in single quotes", bearer, `{'channelId':'x','subchannelId':'0','payload':'it's'}`, 400, parse},
		{"cut off", bearer, good[:len(good)-1], 400, parse},
		{"something after it", bearer, good + "x", 400, parse},
		{"a comma too many", bearer, `{"channelId":"` + channel + `","subchannelId":"0",}`, 400, parse},
		{"no channel", bearer, `{"subchannelId":"9"}`, 400, parse},
		{"no subchannel", bearer, `{"channelId":"x"}`, 400, parse},
		{"no body and no query", bearer, "", 400, parse},
		{"a channel that is a number", bearer, `{"channelId":1,"subchannelId":"9"}`, 400, parse},
		{"a subchannel that is null", bearer, `{"channelId":"x","subchannelId":null}`, 400, parse},
		{"a payload that is an object", bearer, `{"channelId":"x","subchannelId":"9","payload":{}}`, 400, parse},
		{"a payload that is a number", bearer, `{"channelId":"x","subchannelId":"9","payload":1}`, 400, parse},
		{"no UTF-8", bearer, "{\"channelId\":\"x\",\"subchannelId\":\"9\",\"payload\":\"\xff\"}", 400, parse},
		{"a malformed channel", bearer, body("x", `"9"`, long), 400, invalid},
		{"an unknown user", bearer, body("1/"+app, `"9"`, long), 400, invalid},
		{"subchannel 4", bearer, body(user+"/theirs", `"4"`, long), 400, envelope("invalid", 400, badSubchannel)},
		{"subchannel 1.5", bearer, body(channel, `1.5`, long), 400, envelope("invalid", 400, badSubchannel)},
		{"subchannel -1", bearer, body(channel, `-1`, long), 400, envelope("invalid", 400, badSubchannel)},
		{"an empty subchannel", bearer, body(channel, `""`, long), 400, envelope("invalid", 400, badSubchannel)},
		{"a long payload", bearer, body(user+"/theirs", `"0"`, long), 400, envelope("invalid", 400, badPayload)},
		{"another project's app", bearer, body(user+"/theirs", `"0"`, "x"), 500, envelope("internalError", 500, badOwner)},
		{"nobody's app", bearer, body(user+"/nobodys", `"0"`, "x"), 500, envelope("internalError", 500, badOwner)},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, path := range []string{first, final} {
				got := w.do("POST", path, row.auth, row.body)
				assert.Equal(t, row.status, got.Code)
				assert.Equal(t, row.want, got.Body.String())
				assert.Equal(t, "application/json; charset=UTF-8", got.Header().Get("Content-Type"))
				if row.status == 401 {
					assert.Equal(t, "Bearer", got.Header().Get("WWW-Authenticate"))
				}
			}
		})
	}
	assert.Empty(t, w.waiting())
	assert.Equal(t, http.StatusMethodNotAllowed, w.do("GET", final, bearer, "").Code)
	assert.Equal(t, http.StatusRequestEntityTooLarge, w.send(strings.Repeat(" ", 1<<17)).Code)
}

func TestTheQuotaIsNamedWithItsNumber(t *testing.T) {
	w := newWorld(t, chrome.Options{})
	require.NoError(t, w.store.AddUser(t.Context(), user))
	day := now.Unix() / 86400
	require.NoError(t, w.store.PutDailyCount(t.Context(), store.DailyCount{Sender: sender, Day: day, Count: 9_999}))
	good := `{"channelId":"` + channel + `","subchannelId":"0","payload":"x"}`
	require.Equal(t, http.StatusNoContent, w.send(good).Code)
	got := w.send(good)
	assert.Equal(t, http.StatusForbidden, got.Code)
	assert.Equal(t, envelope("dailyLimitExceeded", 403, "Daily message quota exceeded (10,000 message requests allowed per day)."), got.Body.String())
	for limit, text := range map[int]string{7: "7", 1_234_567: "1,234,567", 1000: "1,000"} {
		require.NoError(t, w.store.PutDailyCount(t.Context(), store.DailyCount{Sender: sender, Day: day, Count: 1_234_567}))
		require.NoError(t, w.store.UpdateProject(t.Context(), sender, func(p *store.Project) error { p.Limits.ChromePerDay = limit; return nil }))
		assert.Contains(t, w.send(good).Body.String(), "("+text+" message requests")
	}
}

func TestAStoreInTroubleIsABackendError(t *testing.T) {
	w := newWorld(t, chrome.Options{})
	require.NoError(t, w.store.Close())
	for _, got := range []*httptest.ResponseRecorder{
		w.send(`{"channelId":"` + channel + `","subchannelId":"0"}`), w.register("user=" + user + "&app=" + app),
	} {
		assert.Equal(t, http.StatusServiceUnavailable, got.Code)
		assert.Equal(t, envelope("backendError", 503, "Backend Error"), got.Body.String())
		assert.Equal(t, "30", got.Header().Get("Retry-After"))
	}
}

// CCS 7.5: getChannelId, first call.
func TestAUserLearnsItsID(t *testing.T) {
	w := newWorld(t, chrome.Options{})
	token := w.access(oauth.Grant{User: user})
	for _, path := range []string{"/gcm_for_chrome/v1/channels/id", "/chromewebstore/v1.1/channels/id"} {
		got := w.do("GET", path, "Bearer "+token, "")
		assert.Equal(t, http.StatusOK, got.Code)
		assert.Equal(t, `{"id":"`+user+`"}`, got.Body.String())
		for _, auth := range []string{"", "Bearer x", "Bearer " + w.token, "Bearer " + w.access(oauth.Grant{User: user, Scope: oauth.ScopeChrome})} {
			got := w.do("GET", path, auth, "")
			assert.Equal(t, http.StatusUnauthorized, got.Code)
			assert.Equal(t, envelope("authError", 401, "Invalid Credentials"), got.Body.String())
			assert.Equal(t, "Bearer", got.Header().Get("WWW-Authenticate"))
		}
	}
}

// CCS 7.5: getChannelId, second call.
func TestADeviceBecomesAnInstance(t *testing.T) {
	w := newWorld(t, chrome.Options{})
	form := "user=" + user + "&app=" + app + "&interactive=false"
	for range 2 {
		got := w.register(form)
		assert.Equal(t, http.StatusOK, got.Code)
		assert.Equal(t, `{"channelId":"`+channel+`"}`, got.Body.String())
	}
	require.Equal(t, http.StatusNoContent, w.send(`{"channelId":"`+channel+`","subchannelId":"0","payload":"x"}`).Code)
	assert.Len(t, w.waiting(), 1)
	for range 2 {
		got := w.register(form + "&delete=true")
		assert.Equal(t, http.StatusOK, got.Code)
		assert.Equal(t, `{"channelId":"`+channel+`"}`, got.Body.String())
		assert.Empty(t, w.waiting(), "what waited is gone too")
	}
	require.Equal(t, http.StatusNoContent, w.send(`{"channelId":"`+channel+`","subchannelId":"0","payload":"x"}`).Code)
	assert.Empty(t, w.waiting(), "the most recent message waits for nobody")

	t.Run("by the registration of its app", func(t *testing.T) {
		reg, err := w.Register(t.Context(), store.Registration{Device: uint64(w.device), App: app, Senders: []string{sender}})
		require.NoError(t, err)
		got := w.do("POST", "/gcm_for_chrome/v1/channels", "", form+"&token="+reg.Token)
		assert.Equal(t, http.StatusOK, got.Code, got.Body.String())
		got = w.do("POST", "/gcm_for_chrome/v1/channels", "", "user="+user+"&app=theirs&token="+reg.Token)
		assert.Equal(t, http.StatusUnauthorized, got.Code, "of another app")
	})
}

func TestAnInstanceIsRefused(t *testing.T) {
	w := newWorld(t, chrome.Options{})
	good := fmt.Sprintf("AidLogin %d:%d", w.device, w.secret)
	for _, row := range []struct{ name, auth, form, want string }{
		{"no credential", "", "user=&app=", envelope("authError", 401, "Invalid Credentials")},
		{"a bad credential", "AidLogin 1:1", "user=&app=", envelope("authError", 401, "Invalid Credentials")},
		{"a bad registration token", "", "user=1&app=" + app + "&token=x", envelope("authError", 401, "Invalid Credentials")},
		{"nobody is signed in", good, "user=&app=!&interactive=true", envelope("required", 401, "The user is not signed in.")},
		{"nobody is named", good, "app=" + app, envelope("required", 401, "The user is not signed in.")},
		{"a user that is no number", good, "user=me&app=" + app, envelope("invalid", 400, "Channel ID is invalid.")},
		{"no app", good, "user=" + user, envelope("invalid", 400, "Channel ID is invalid.")},
		{"an app that no project owns", good, "user=" + user + "&app=nobodys", envelope("internalError", 500, badOwner)},
		{"a broken form", good, "user=%zz", envelope("parseError", 400, "Parse Error")},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := w.do("POST", "/gcm_for_chrome/v1/channels", row.auth, row.form)
			assert.Equal(t, row.want, got.Body.String())
			assert.Contains(t, row.want, fmt.Sprintf(`"code":%d`, got.Code))
		})
	}
}

// A body can be anything: no panic, and JSON that encoding/json reads is read alike.
func FuzzSend(f *testing.F) {
	w := newWorld(f, chrome.Options{})
	require.NoError(f, w.store.AddUser(context.Background(), user))
	f.Add(`{"channelId":"` + channel + `","subchannelId":"0","payload":"x"}`)
	f.Add(`{'channelId':'` + channel + `','subchannelId':0,'payload':'\u00e9'}`)
	f.Add(`{"a":[{},[1,2.5e-3,true,null]],"channelId":"\ud83d\ude00"}`)
	f.Fuzz(func(t *testing.T, body string) {
		got := w.send(body)
		var strict struct {
			ChannelID    *string          `json:"channelId"`
			SubchannelID *json.RawMessage `json:"subchannelId"`
			Payload      *string          `json:"payload"`
		}
		if got.Code == http.StatusNoContent && !strings.Contains(body, "'") {
			require.NoError(t, json.Unmarshal([]byte(body), &strict), "accepted, so it is JSON")
		}
	})
}
