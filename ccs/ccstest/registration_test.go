package ccstest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/stanza"
)

// register posts a form as a device and returns the whole answer.
func register(t *testing.T, s *ccstest.Server, id mcsclient.Identity, form string) string {
	t.Helper()
	body := fmt.Sprintf("device=%d&%s", id.AndroidID, form)
	req, err := http.NewRequest("POST", s.HTTPURL()+"/c2dm/register3", strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", fmt.Sprintf("AidLogin %d:%d", id.AndroidID, id.SecurityToken))
	resp, err := s.HTTP().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(answer)
}

// token is register for an answer that has a token.
func token(t *testing.T, s *ccstest.Server, id mcsclient.Identity, form string) string {
	t.Helper()
	value, ok := strings.CutPrefix(register(t, s, id, form), "token=")
	require.True(t, ok)
	require.Regexp(t, `^[A-Za-z0-9_:-]+$`, value, "nothing that any client would trip over (DEV 3.1)")
	return value
}

// answerOf sends one message and returns its answer.
func answerOf(t *testing.T, c *ccsclient.Client, to string) ccsclient.Reply {
	t.Helper()
	answered := make(chan ccsclient.Reply, 1)
	require.NoError(t, c.Send(context.Background(), message(to, "m"), func(r ccsclient.Reply) { answered <- r }))
	return <-answered
}

// A device and an app server see a registration's whole life (DEV 3.3, 3.5, CCS 5.6, 5.7). The same
// fields give the same token. Other fields give a newer one, which is canonical then. Finally it
// ends.
func TestTheLifeOfARegistration(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store ccstest.Option) {
		s := ccstest.Start(t, store)
		id := s.Enrol("another.app").Identity
		c := s.AppServer(ccsclient.Options{})
		classic := "app=com.example&sender=" + s.Sender
		first := token(t, s, id, classic)
		assert.Equal(t, first, token(t, s, id, classic))
		assert.Equal(t, first, token(t, s, id, classic+"&app_ver=2"), "whatever else it says")
		require.NoError(t, answerOf(t, c, first).Err)

		newer := token(t, s, id, classic+",99")
		require.NotEqual(t, first, newer)
		r := answerOf(t, c, first)
		require.NoError(t, r.Err)
		assert.Equal(t, newer, r.RegistrationID, "the old one still works, and names the new one")
		assert.Empty(t, answerOf(t, c, newer).RegistrationID)

		subtype := token(t, s, id, classic+"&X-subtype=wp:x")
		instance := token(t, s, id, classic+"&appid=dXyZ0123_-4&scope=GCM&X-scope=GCM")
		assert.Equal(t, "deleted=com.example", register(t, s, id, "app=com.example&delete=true&gcm_unreg_caller=false"))
		code := func(to string) stanza.Code {
			var refused *ccsclient.Nack
			if assert.ErrorAs(t, answerOf(t, c, to).Err, &refused) {
				return refused.Code
			}
			return ""
		}
		assert.Equal(t, stanza.DeviceUnregistered, code(first))
		assert.Equal(t, stanza.DeviceUnregistered, code(newer))
		require.NoError(t, answerOf(t, c, subtype).Err)
		require.NoError(t, answerOf(t, c, instance).Err)
		assert.Equal(t, "token=com.example", register(t, s, id, "app=com.example&delete=true&appid=dXyZ0123_-4&sender=*&scope=*&X-scope=*"))
		assert.Equal(t, stanza.DeviceUnregistered, code(instance))
		assert.NotContains(t, []string{first, newer}, token(t, s, id, classic), "a dead token never lives again")

		assert.Equal(t, "Error=INVALID_SENDER", register(t, s, id, "app=com.example&sender="))
		assert.Equal(t, "Error=PHONE_REGISTRATION_ERROR", register(t, s, mcsclient.Identity{AndroidID: id.AndroidID, SecurityToken: 1}, classic))
	})
}

// Every new Chromium profile registers one of Google's own apps with one of Google's own senders.
// It gets a token, but no sender here can use it (DEV 3.3).
func TestGooglesOwnRegistrationIsHarmless(t *testing.T) {
	t.Parallel()
	s := ccstest.Start(t)
	d := s.Enrol("com.example.app")
	_, in := receive(s, d, mcsclient.Options{})
	googles := token(t, s, d.Identity, "app=com.google.android.gms&sender=745476177629")
	c := s.AppServer(ccsclient.Options{})
	var refused *ccsclient.Nack
	require.ErrorAs(t, answerOf(t, c, googles).Err, &refused)
	assert.Equal(t, stanza.BadRegistration, refused.Code)
	require.NoError(t, answerOf(t, c, d.Token).Err)
	assert.Equal(t, []string{"m"}, in.wait(t, 1))
}
