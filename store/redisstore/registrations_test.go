package redisstore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

// now is the time that the tests use.
var now = time.UnixMilli(1_400_000_000_000)

func registration(token string, senders ...string) store.Registration {
	return store.Registration{Token: token, Device: 4611686018427387904, App: "com.example.app", Senders: senders}
}

func lookUp(t *testing.T, s *redisstore.Store, token string) *store.Registration {
	t.Helper()
	all, err := s.Registrations(t.Context(), nil, []string{token})
	require.NoError(t, err)
	require.Len(t, all, 1)
	return all[0]
}

func TestNodesSeeEachOthersRegistrationsAtOnce(t *testing.T) {
	r := redistest.Single(t)
	a, b := open(t, r.URL("a:"), redisstore.Options{}), open(t, r.URL("a:"), redisstore.Options{})
	assert.Nil(t, lookUp(t, b, "t"))
	_, err := a.Register(t.Context(), registration("t", "1"), now)
	require.NoError(t, err)
	got := lookUp(t, b, "t")
	require.NotNil(t, got)
	assert.Same(t, got, lookUp(t, b, "t"), "what has not changed is not made again")

	_, err = a.Register(t.Context(), registration("u", "2"), now)
	require.NoError(t, err)
	assert.Equal(t, "u", lookUp(t, b, "t").Canonical)
	require.NoError(t, a.Unregister(t.Context(), now, "t"))
	assert.False(t, lookUp(t, b, "t").Unregistered.IsZero())
	assert.True(t, got.Unregistered.IsZero(), "a record that was handed out does not change")
}

func TestNodesThatRegisterAtOnceAgree(t *testing.T) {
	r := redistest.Single(t)
	var nodes []*redisstore.Store
	for range 4 {
		nodes = append(nodes, open(t, r.URL("a:"), redisstore.Options{}))
	}
	answers := make([]string, len(nodes))
	var g errgroup.Group
	for i, s := range nodes {
		g.Go(func() error {
			got, err := s.Register(t.Context(), registration("token"+string(rune('a'+i)), "1"), now)
			if err == nil {
				answers[i] = got.Token
			}
			return err
		})
	}
	require.NoError(t, g.Wait())
	for _, a := range answers {
		assert.Equal(t, answers[0], a)
	}
	all, err := nodes[0].DeviceRegistrations(t.Context(), registration("").Device)
	require.NoError(t, err)
	assert.Len(t, all, 1)
}

func TestATokenLeadsToOneDevice(t *testing.T) {
	r := redistest.Single(t)
	s := open(t, r.URL("a:"), redisstore.Options{})
	other := registration("t", "1")
	other.Device++

	// A crash before the record was written leaves this.
	r.Do("SET", "a:{t:t}:dev", "4611686018427387904")
	assert.Nil(t, lookUp(t, s, "t"), "a token without a record is unknown")
	_, err := s.Register(t.Context(), other, now)
	require.ErrorIs(t, err, store.ErrExists)
	require.NoError(t, s.Unregister(t.Context(), now, "t"))

	_, err = s.Register(t.Context(), registration("t", "1"), now)
	require.NoError(t, err)
	require.NotNil(t, lookUp(t, s, "t"))
	_, err = s.Register(t.Context(), other, now)
	require.ErrorIs(t, err, store.ErrExists)
}

func TestLookupsWaitForRedis(t *testing.T) {
	r := redistest.Single(t, "--appendfsync", "always")
	s := open(t, r.URL("a:"), redisstore.Options{})
	_, err := s.Register(t.Context(), registration("t", "1"), now)
	require.NoError(t, err)
	r.Kill()
	looked := make(chan error, 1)
	go func() {
		_, err := s.Registrations(t.Context(), nil, []string{"t"})
		looked <- err
	}()
	r.Restart()
	require.NoError(t, <-looked)

	impatient := open(t, r.URL("a:"), redisstore.Options{Retry: 50 * time.Millisecond})
	r.Kill()
	_, err = impatient.Registrations(t.Context(), nil, []string{"t"})
	require.Error(t, err, "a Redis that does not come back is an error")
}

func TestDamagedRegistration(t *testing.T) {
	r := redistest.Single(t)
	s := open(t, r.URL("a:"), redisstore.Options{})
	r.Do("SET", "a:{t:t}:dev", "7")
	r.Do("HSET", "a:{d:7}:reg", "t", "\x02from the future")
	_, err := s.Registrations(t.Context(), nil, []string{"t"})
	require.ErrorContains(t, err, "a newer ccs wrote it")
}

func FuzzRegistration(f *testing.F) {
	r := registration("t", "1", "2")
	r.Subtype, r.Scope, r.InstanceID, r.Canonical = "sub", "GCM", "dXNlci1pZA", "newer"
	r.Created, r.Superseded = now, now.Add(time.Hour)
	f.Add(string(redisstore.EncodeRegistration(&r)))
	f.Add("")
	f.Add("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
	f.Fuzz(func(t *testing.T, raw string) {
		r, err := redisstore.DecodeRegistration(raw, "t", 7)
		if err != nil {
			return
		}
		again, err := redisstore.DecodeRegistration(string(redisstore.EncodeRegistration(r)), "t", 7)
		require.NoError(t, err)
		assert.Equal(t, r, again)
	})
}
