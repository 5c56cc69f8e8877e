package ccs_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
)

// A device keeps its pair, and a wrong pair is never taken for a new device (DEV 2.4).
func TestCheckIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	id, token, err := w.CheckIn(t.Context(), 0, 0)
	require.NoError(t, err)
	for _, n := range []uint64{id, token} {
		assert.Positive(t, int64(n), "between 1 and 2^63-1")
	}
	again, same, err := w.CheckIn(t.Context(), id, token)
	require.NoError(t, err)
	assert.Equal(t, []uint64{id, token}, []uint64{again, same}, "a known device keeps its pair")
	require.NoError(t, w.Authenticate(t.Context(), id, token))
	w.open(ccs.Options{})
	require.NoError(t, w.Authenticate(t.Context(), id, token), "also after a restart")
	for _, row := range []struct {
		name      string
		id, token uint64
	}{
		{"wrong token", id, token + 1},
		{"wrong id", id + 1, token},
		{"token without id", 0, token},
		{"id without token", id, 0},
		{"id beyond the signed range", id | 1<<63, token},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, _, err := w.CheckIn(t.Context(), row.id, row.token)
			assert.ErrorIs(t, err, ccs.ErrUnknownDevice)
			assert.ErrorIs(t, w.Authenticate(t.Context(), row.id, row.token), ccs.ErrUnknownDevice)
		})
	}
}

// A token has only allowed characters, and never a forbidden word (DEV 3.1).
func TestTokensAreSafeForEveryClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	token := w.register("x").Token
	assert.Regexp(t, `^APA91b[A-Za-z0-9_-]{134}$`, token)
	assert.NotContains(t, token, "Error")
	assert.NotContains(t, ccs.ShortToken(token), token[10:30])
	assert.True(t, strings.HasPrefix(ccs.ShortToken(token), "APA91b"))
}

func TestLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	grant, err := w.Login(t.Context(), sender, "key-"+string(sender), netip.Addr{})
	require.NoError(t, err)
	assert.Equal(t, ccs.Grant{KeyID: "1"}, grant)
	_, err = w.Login(t.Context(), sender, "key-"+string(other), netip.Addr{})
	assert.ErrorIs(t, err, ccs.ErrWrongKey)
	_, err = w.Login(t.Context(), "123", "key-"+string(other), netip.Addr{})
	assert.ErrorIs(t, err, ccs.ErrUnknownSender)
	keys, err := w.Keys(t.Context(), sender)
	require.NoError(t, err)
	assert.Equal(t, []string{"1"}, keys)
	keys, err = w.Keys(t.Context(), "123")
	require.NoError(t, err)
	assert.Empty(t, keys)
}

func TestParseSenderID(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]ccs.SenderID{
		"126200347933": "126200347933", "126200347933@gcm.googleapis.com": "126200347933", "1": "1",
		"": "", "012": "", "12a": "", "@gcm": "", "1234567890123456789": "", "-1": "",
	} {
		got, err := ccs.ParseSenderID(in)
		assert.Equal(t, want, got, in)
		assert.Equal(t, want == "", err != nil, in)
	}
	_, err := ccs.ParseDeviceID("0")
	assert.Error(t, err)
	_, err = ccs.ParseDeviceID("9223372036854775808")
	assert.Error(t, err)
}
