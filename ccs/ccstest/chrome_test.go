package ccstest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

// The user and the app of GCM for Chrome in these tests.
const (
	chromeUser = "08144192009958038014"
	chromeApp  = "aaaaaaaaaabbbbbbbbbbcccccccccc"
	chromeID   = chromeUser + "/" + chromeApp
)

// chromeSender is an app server of GCM for Chrome, whose project has an app.
type chromeSender struct {
	t     testing.TB
	admin *admin.Client
	*admin.OAuthCredentials
	token string // an access token
}

func newChromeSender(t testing.TB, s *ccstest.Server, app string) *chromeSender {
	t.Helper()
	c := &chromeSender{t: t}
	var err error
	c.admin, err = admin.Dial(s.Dir())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.admin.Close()) })
	require.NoError(t, c.admin.AddApp(context.Background(), s.Sender, app))
	c.OAuthCredentials, err = c.admin.CreateOAuth(context.Background(), s.Sender, admin.OAuthRequest{})
	require.NoError(t, err)
	c.token = c.refresh(s, c.OAuthCredentials)
	return c
}

// refresh exchanges a refresh token for an access token.
func (c *chromeSender) refresh(s *ccstest.Server, made *admin.OAuthCredentials) string {
	c.t.Helper()
	resp, err := s.HTTP().PostForm(s.HTTPURL()+"/o/oauth2/token", url.Values{
		"client_id": {made.ClientID}, "client_secret": {made.ClientSecret}, "refresh_token": {made.RefreshToken}, "grant_type": {"refresh_token"},
	})
	require.NoError(c.t, err)
	defer resp.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	require.NoError(c.t, json.NewDecoder(resp.Body).Decode(&answer))
	require.NotEmpty(c.t, answer.AccessToken)
	return answer.AccessToken
}

// send sends to a channel, by the first revision on even subchannels, with single quotes.
func (c *chromeSender) send(s *ccstest.Server, channel string, subchannel int, payload string) (status int, body string) {
	c.t.Helper()
	path := []string{"/chromewebstore/v1.1/notifications", "/gcm_for_chrome/v1/messages"}[subchannel%2]
	message := fmt.Sprintf("{\n'channelId': '%s',\n'subchannelId': '%d',\n'payload': '%s'\n}", channel, subchannel, payload)
	req, err := http.NewRequest(http.MethodPost, s.HTTPURL()+path, strings.NewReader(message))
	require.NoError(c.t, err)
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := s.HTTP().Do(req)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	return resp.StatusCode, string(text)
}

// accepted sends to the channel of the tests, which must accept it.
func (c *chromeSender) accepted(s *ccstest.Server, subchannel int, payload string) {
	c.t.Helper()
	status, body := c.send(s, chromeID, subchannel, payload)
	require.Equal(c.t, http.StatusNoContent, status, body)
}

// instanceOf makes a device an instance of the app.
func instanceOf(t testing.TB, s *ccstest.Server) *ccstest.Device {
	t.Helper()
	d := s.Enrol(chromeApp)
	id, err := mcsclient.RegisterChannel(context.Background(), s.HTTP(), s.HTTPURL(), d.Identity, chromeUser, chromeApp)
	require.NoError(t, err)
	require.Equal(t, chromeID, id)
	return d
}

// listen connects a device and collects what comes over its channels, as subchannel and payload.
func listen(s *ccstest.Server, d *ccstest.Device) (*mcsclient.Client, *inbox[string]) {
	in := newInbox[string]()
	c := s.Connect(d, mcsclient.Options{OnMessage: func(m *mcsclient.Message) {
		subchannel, _ := m.Get("subchannelId")
		payload, _ := m.Get("payload")
		in.add(subchannel + " " + payload)
	}})
	return c, in
}

// CCS 7.6: the worked example, on each store and with a restart: two instances of a user, one of
// them away.
func TestChromeMessagesReachEachInstance(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]ccstest.Option{
		"memory": nil,
		"disk":   {ccstest.Disk},
		"redis":  {ccstest.Store(redistest.Single(t).URL("chrome:"))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ccstest.Start(t, opts...)
			app := newChromeSender(t, s, chromeApp)
			near, away := instanceOf(t, s), instanceOf(t, s)
			_, got := listen(s, near)
			app.accepted(s, 0, "one")
			assert.Equal(t, []string{"0 one"}, got.wait(t, 1))
			app.accepted(s, 0, "two")
			assert.Equal(t, "0 two", got.wait(t, 2)[1])
			app.accepted(s, 1, "call")
			assert.Equal(t, "1 call", got.wait(t, 3)[2])
			status, body := app.send(s, chromeID, 4, "x")
			assert.Equal(t, http.StatusBadRequest, status)
			assert.Contains(t, body, "Subchannel is invalid")
			if name != "memory" {
				s.Restart()
				app.accepted(s, 2, "after the restart") // with the same access token
			} else {
				app.accepted(s, 2, "after the restart")
			}
			_, waited := listen(s, away)
			assert.ElementsMatch(t, []string{"0 two", "1 call", "2 after the restart"}, waited.wait(t, 3))
		})
	}
}

// CCS 7.3: the messages of a day are counted over a restart, to the message.
func TestTheDailyQuotaOfChromeSurvivesARestart(t *testing.T) {
	t.Parallel()
	s := ccstest.Start(t, ccstest.Disk)
	app := newChromeSender(t, s, chromeApp)
	require.NoError(t, app.admin.SetLimits(t.Context(), s.Sender, admin.Limits{ChromePerDay: 10}))
	instanceOf(t, s)
	for i := range 10 {
		if i == 6 {
			s.Restart()
		}
		app.accepted(s, i%4, "x")
	}
	status, body := app.send(s, chromeID, 0, "x")
	assert.Equal(t, http.StatusForbidden, status)
	assert.Contains(t, body, "Daily message quota exceeded (10 message requests allowed per day).")
}

// Nodes share channels, the quota, and within a second a revocation (CCS 7.1, 7.3).
func TestNodesShareChannelsAndTokens(t *testing.T) {
	t.Parallel()
	twoNodes(t, func(t *testing.T, a, b *ccstest.Server) {
		app := newChromeSender(t, a, chromeApp)
		require.NoError(t, app.admin.SetLimits(t.Context(), a.Sender, admin.Limits{ChromePerDay: 6}))
		_, got := listen(b, instanceOf(t, a))
		for i := range 4 {
			app.accepted([]*ccstest.Server{a, b}[i%2], i, "hello")
		}
		assert.ElementsMatch(t, []string{"0 hello", "1 hello", "2 hello", "3 hello"}, got.wait(t, 4))
		app.accepted(a, 0, "fifth")
		app.accepted(b, 0, "sixth")
		for _, node := range []*ccstest.Server{a, b} {
			status, _ := app.send(node, chromeID, 0, "seventh")
			assert.Equal(t, http.StatusForbidden, status)
		}

		require.NoError(t, app.admin.RevokeOAuth(t.Context(), app.ClientID, true))
		status, _ := app.send(a, chromeID, 0, "x")
		assert.Equal(t, http.StatusUnauthorized, status, "at once on the node that revoked it")
		require.Eventually(t, func() bool {
			status, _ := app.send(b, chromeID, 0, "x")
			return status == http.StatusUnauthorized
		}, time.Second, 20*time.Millisecond, "within a second on the other")
		app.token = app.refresh(b, app.OAuthCredentials)
		status, _ = app.send(b, chromeID, 0, "x")
		assert.Equal(t, http.StatusForbidden, status, "a new one is good, and the quota is still used up")
	})
}
