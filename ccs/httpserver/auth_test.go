package httpserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/flowcontrol"
)

func TestCredentialOf(t *testing.T) {
	for _, row := range []struct{ header, project, key, token, sender string }{
		{"key=AIzaX", "", "AIzaX", "", ""},
		{"key= AIzaX ", "", "AIzaX", "", ""},
		{"KEY=AIzaX", "126200347933", "AIzaX", "", "126200347933"},
		{"Bearer ya29.x", "", "", "ya29.x", ""},
		{"bearer  ya29.x", "", "", "ya29.x", ""},
		{"OAuth ya29.x", "", "", "ya29.x", ""},
		{"key=", "", "", "", ""},
		{"AIzaX", "", "", "", ""},
		{"Basic AIzaX", "", "", "", ""},
		{"", "", "", "", ""},
	} {
		r := httptest.NewRequest("POST", "/gcm/send", nil)
		r.Header.Set("Authorization", row.header)
		r.Header.Set("project_id", row.project)
		want := ccs.Credential{Key: row.key, Token: row.token, Sender: ccs.SenderID(row.sender), Address: netip.MustParseAddr("192.0.2.1")}
		assert.Equal(t, want, httpserver.CredentialOf(r), row.header)
	}
}

// senders knows one key.
type senders struct{ asked int }

func (s *senders) Authorize(_ context.Context, c ccs.Credential) (ccs.Authorization, error) {
	s.asked++
	switch c.Key {
	case "right":
		return ccs.Authorization{Sender: "126200347933"}, nil
	case "broken":
		return ccs.Authorization{}, errors.New("disk full")
	}
	return ccs.Authorization{}, fmt.Errorf("%w: unknown key", ccs.ErrUnauthorized)
}

func TestRefusedCredentialsAreThrottledByAddress(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	known := &senders{}
	auth := httpserver.NewAuth(known, httpserver.AuthOptions{Logger: zap.New(core), FailedLogins: flowcontrol.Rate{Every: time.Hour, Burst: 2}})
	from := func(key, address string) error {
		_, err := auth.Check(t.Context(), ccs.Credential{Key: key, Address: netip.MustParseAddr(address)})
		return err
	}
	require.NoError(t, from("right", "192.0.2.1"))
	require.ErrorIs(t, from("wrong", "192.0.2.1"), ccs.ErrUnauthorized)
	require.NoError(t, from("right", "192.0.2.1"))
	require.ErrorIs(t, from("wrong", "192.0.2.1"), ccs.ErrUnauthorized)
	require.ErrorIs(t, from("right", "192.0.2.1"), httpserver.ErrThrottled)
	require.NoError(t, from("right", "192.0.2.2"), "another address")
	assert.Equal(t, 5, known.asked, "the store is not asked for an address that is throttled")
	require.Equal(t, 2, logs.Len())
	assert.Equal(t, map[string]any{"remote_addr": "192.0.2.1", "reason": "no good credential: unknown key"}, logs.All()[0].ContextMap())
}

func TestAuthAnswer(t *testing.T) {
	a := httpserver.AuthAnswer(fmt.Errorf("%w: unknown key", ccs.ErrUnauthorized))
	assert.Equal(t, http.StatusUnauthorized, a.Status)
	assert.Contains(t, a.ContentType, "text/html")
	assert.Contains(t, string(a.Body), "Unauthorized")
	a = httpserver.AuthAnswer(io.ErrUnexpectedEOF)
	assert.Equal(t, http.StatusServiceUnavailable, a.Status)
	assert.NotZero(t, a.RetryAfter)
	require.ErrorIs(t, a.Err, io.ErrUnexpectedEOF)
	a = httpserver.AuthAnswer(httpserver.ErrThrottled)
	assert.Equal(t, http.StatusServiceUnavailable, a.Status)
	assert.NoError(t, a.Err)
}
