//go:build e2e

package ccstest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/ccs/ccstest"
)

// pushMessagingEndToEnd takes an extension that was written for chrome.pushMessaging through its
// life: two profiles of Debian's Chromium are two instances of it, and one of them is away for a
// while (docs/spec/ccs.md §7).
func pushMessagingEndToEnd(t *testing.T, done *steps) {
	p := newPushMessaging(t)
	for _, step := range []struct {
		name string
		do   func() string
	}{
		{"two profiles call getChannelId", p.getChannelID},
		{"both receive, on four subchannels", p.receive},
		{"one is killed, and gets the most recent of each subchannel", p.comeBack},
		{"nobody is signed in", p.signedOut},
	} {
		done.do(t, "Chromium, chrome.pushMessaging", step.name, step.do)
	}
}

// pushMessaging is two profiles, their server and the credentials of an app server.
type pushMessaging struct {
	t       *testing.T
	server  *ccstest.Server
	logs    *observer.ObservedLogs
	sender  *chromeSender
	near    *browser
	away    *browser
	channel string
}

func newPushMessaging(t *testing.T) *pushMessaging {
	t.Helper()
	watched, logs := watch(zap.DebugLevel)
	p := &pushMessaging{t: t, server: ccstest.Start(t, ccstest.Disk, watched), logs: logs}
	p.sender = newChromeSender(t, p.server, extensionID)
	p.near, p.away = newBrowser(t, p.server), newBrowser(t, p.server)
	return p
}

// configure tells the extension where the server is, and who is signed in. Chromium's page of
// switches names localhost.
func (p *pushMessaging) configure(b *browser, userToken string) {
	p.t.Helper()
	web, err := url.Parse(p.server.HTTPURL())
	require.NoError(p.t, err)
	b.eval(`chrome.pushMessaging.configure({server: "https://localhost:%s", sender: "%s", userToken: async () => "%s"})`,
		web.Port(), p.server.Sender, userToken)
}

// channelID calls getChannelId as an app of 2013 does, and returns the channel ID or the error.
func channelID(b *browser) string {
	b.t.Helper()
	return b.eval(`new Promise((resolve) => chrome.pushMessaging.getChannelId(false, (message) => resolve(message.channelId || message.error)))`)
}

func (p *pushMessaging) getChannelID() string {
	user := p.sender.userToken(p.server, chromeUser)
	for _, b := range []*browser{p.near, p.away} {
		b.start()
		p.configure(b, user)
		p.channel = channelID(b)
		require.Equal(p.t, chromeUser+"/"+extensionID, p.channel)
		require.Equal(p.t, p.channel, channelID(b), "and again, without a call")
	}
	logged(p.t, p.logs, "mcs", "session open", 2)
	return "1 channel ID, 2 instances"
}

// send sends to the channel, by one of the two revisions.
func (p *pushMessaging) send(subchannel int, payload string) {
	p.t.Helper()
	status, body := p.sender.send(p.server, p.channel, subchannel, payload)
	require.Equal(p.t, http.StatusNoContent, status, body)
}

// pushes waits until the extension has had n messages to its channel, and returns the subchannel
// and payload of each.
func pushes(b *browser, n int) (got []string) {
	b.t.Helper()
	for have := 1; len(got) < n; have++ {
		if e := b.events(have)[have-1]; e.Type == "push" {
			got = append(got, fmt.Sprint(e.Subchannel, " ", e.Payload))
		}
	}
	return got
}

func (p *pushMessaging) receive() string {
	var want []string
	for subchannel := range 4 {
		p.send(subchannel, "hello")
		want = append(want, fmt.Sprint(subchannel, " hello"))
	}
	for _, b := range []*browser{p.near, p.away} {
		require.ElementsMatch(p.t, want, pushes(b, 4))
	}
	return "4 and 4 of 4"
}

func (p *pushMessaging) comeBack() string {
	gone, open := timesLogged(p.logs, "mcs", "session closed"), timesLogged(p.logs, "mcs", "session open")
	p.away.kill()
	logged(p.t, p.logs, "mcs", "session closed", gone+1)
	for i := range 5 {
		p.send(0, fmt.Sprint("news-", i))
	}
	p.send(1, "call")
	// A message that is not acknowledged yet may be replaced by its successor, so this one may have
	// fewer than 6.
	near := pushes(p.near, 4+1)
	for !slices.Contains(near, "0 news-4") || !slices.Contains(near, "1 call") {
		near = pushes(p.near, len(near)+1)
	}

	p.away.start()
	logged(p.t, p.logs, "mcs", "session open", open+1)
	got := pushes(p.away, 2)
	p.send(3, "last")
	all := pushes(p.away, len(got)+1)
	for all[len(all)-1] != "3 last" {
		all = pushes(p.away, len(all)+1)
	}
	var waited []string
	for _, m := range all[:len(all)-1] {
		// Messages that it received before and did not acknowledge come again (DEV 7.2).
		if !strings.HasSuffix(m, " hello") {
			waited = append(waited, m)
		}
	}
	require.ElementsMatch(p.t, []string{"0 news-4", "1 call"}, waited)
	return fmt.Sprintf("%d of 6 at the other, 2 at this one", len(near)-4)
}

func (p *pushMessaging) signedOut() string {
	b := p.near
	b.eval(`chrome.storage.local.clear()`)
	p.configure(b, "")
	require.Equal(p.t, "The user is not signed in.", channelID(b))
	p.configure(b, "ya29.x")
	require.Equal(p.t, "Invalid Credentials", channelID(b))
	return "2 errors"
}

// userToken returns an access token of a user.
func (c *chromeSender) userToken(s *ccstest.Server, user string) string {
	c.t.Helper()
	made, err := c.admin.CreateOAuth(context.Background(), s.Sender, admin.OAuthRequest{User: user})
	require.NoError(c.t, err)
	return c.refresh(s, made)
}
