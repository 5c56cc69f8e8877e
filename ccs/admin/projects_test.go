package admin_test

import (
	"context"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
)

// projects has the operations that a command may do, itself or through a server.
type projects interface {
	Create(ctx context.Context, name, sender string) (*admin.Credentials, error)
	List(ctx context.Context) ([]admin.Project, error)
	AddKey(ctx context.Context, sender, name string) (*admin.Credentials, error)
	RevokeKey(ctx context.Context, sender, keyID string) error
	SetKeyNetworks(ctx context.Context, sender, keyID string, networks []string) error
	Delete(ctx context.Context, sender string) error
	CreateOAuth(ctx context.Context, sender string, r admin.OAuthRequest) (*admin.OAuthCredentials, error)
	ListOAuth(ctx context.Context, sender string) ([]admin.OAuthClient, error)
	AddApp(ctx context.Context, sender, id string) error
	RemoveApp(ctx context.Context, sender, id string) error
	ListApps(ctx context.Context, sender string) ([]admin.App, error)
	RevokeOAuth(ctx context.Context, clientID string, accessTokens bool) error
}

var created = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is one way to reach projects, with the store and the senders that lost a key.
type world struct {
	projects
	stored  *memstore.Store
	revoked *[]string
}

// bothWays runs a test on a store, and on the same store through a server.
func bothWays(t *testing.T, test func(t *testing.T, w world)) {
	build := func() (*admin.Projects, world) {
		var revoked []string
		p, s := newProjects(admin.Options{
			OnKeyRevoked: func(sender string) { revoked = append(revoked, sender) },
			Now:          func() time.Time { return created },
		})
		return p, world{projects: p, stored: s, revoked: &revoked}
	}
	t.Run("directly", func(t *testing.T) {
		_, w := build()
		test(t, w)
	})
	t.Run("through a server", func(t *testing.T) {
		p, w := build()
		mux := http.NewServeMux()
		admin.ProjectRoutes(mux, p)
		dir := t.TempDir()
		start(t, dir, mux)
		c, err := admin.Dial(dir)
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		w.projects = c
		test(t, w)
	})
}

func TestCreateGivesWhatLogsIn(t *testing.T) {
	bothWays(t, func(t *testing.T, w world) {
		c, err := w.Create(t.Context(), "shop", "")
		require.NoError(t, err)
		assert.Regexp(t, regexp.MustCompile(`^[1-9][0-9]{11}$`), c.SenderID)
		assert.Regexp(t, regexp.MustCompile(`^AIza[A-Za-z0-9_-]{35}$`), c.APIKey)

		stored, err := w.stored.Project(t.Context(), c.SenderID)
		require.NoError(t, err)
		assert.Equal(t, "shop", stored.Name)
		assert.True(t, created.Equal(stored.Created))
		require.NotNil(t, stored.Key(c.APIKey), "the key works")
		assert.Equal(t, c.KeyID, stored.Key(c.APIKey).ID)
	})
}

func TestCreateWithASenderID(t *testing.T) {
	tests := []struct {
		name, sender string
		want         error
	}{
		{name: "one digit", sender: "7"},
		{name: "eighteen digits", sender: "123456789012345678"},
		{name: "nineteen digits are too many", sender: "1234567890123456789", want: admin.ErrInvalid},
		{name: "a leading zero", sender: "0123", want: admin.ErrInvalid},
		{name: "a letter", sender: "12a4", want: admin.ErrInvalid},
		{name: "a sign", sender: "-1", want: admin.ErrInvalid},
		{name: "one that is taken", sender: "4711", want: store.ErrExists},
	}
	bothWays(t, func(t *testing.T, w world) {
		_, err := w.Create(t.Context(), "first", "4711")
		require.NoError(t, err)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				c, err := w.Create(t.Context(), "", tt.sender)
				if tt.want != nil {
					assert.ErrorIs(t, err, tt.want)
					assert.ErrorContains(t, err, tt.sender)
					return
				}
				require.NoError(t, err)
				assert.Equal(t, tt.sender, c.SenderID)
			})
		}
	})
}

func TestCreateTriesAnotherRandomSenderID(t *testing.T) {
	s := &takenAtFirst{Store: memstore.New(), left: 2}
	c, err := admin.NewProjects(s, admin.Options{}).Create(t.Context(), "", "")
	require.NoError(t, err)
	assert.Len(t, c.SenderID, 12)
	assert.Zero(t, s.left)
}

// takenAtFirst is a store that reports the first sender IDs as used.
type takenAtFirst struct {
	*memstore.Store
	left int
}

func (s *takenAtFirst) CreateProject(ctx context.Context, p *store.Project) error {
	if s.left > 0 {
		s.left--
		return store.ErrExists
	}
	return s.Store.CreateProject(ctx, p)
}

func TestListShowsNoSecrets(t *testing.T) {
	bothWays(t, func(t *testing.T, w world) {
		none, err := w.List(t.Context())
		require.NoError(t, err)
		assert.NotNil(t, none, "JSON shows [], not null")
		assert.Empty(t, none)

		long, err := w.Create(t.Context(), "long", "1000")
		require.NoError(t, err)
		short, err := w.Create(t.Context(), "short", "999")
		require.NoError(t, err)
		list, err := w.List(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []admin.Project{
			{SenderID: "999", Name: "short", Created: created, Keys: []admin.Key{{ID: short.KeyID, Created: created}}},
			{SenderID: "1000", Name: "long", Created: created, Keys: []admin.Key{{ID: long.KeyID, Created: created}}},
		}, list)
	})
}

func TestKeysComeAndGo(t *testing.T) {
	bothWays(t, func(t *testing.T, w world) {
		first, err := w.Create(t.Context(), "", "")
		require.NoError(t, err)
		second, err := w.AddKey(t.Context(), first.SenderID, "laptop")
		require.NoError(t, err)
		assert.NotEqual(t, first.APIKey, second.APIKey)
		assert.Equal(t, first.SenderID, second.SenderID)
		assert.Empty(t, *w.revoked)

		require.NoError(t, w.RevokeKey(t.Context(), first.SenderID, first.KeyID))
		stored, err := w.stored.Project(t.Context(), first.SenderID)
		require.NoError(t, err)
		assert.Nil(t, stored.Key(first.APIKey), "the revoked key is dead")
		assert.NotNil(t, stored.Key(second.APIKey), "the other one lives")
		assert.Equal(t, []string{first.SenderID}, *w.revoked, "its sessions have to end")
	})
}

func TestDeleteForgetsTheProject(t *testing.T) {
	bothWays(t, func(t *testing.T, w world) {
		c, err := w.Create(t.Context(), "", "")
		require.NoError(t, err)
		require.NoError(t, w.Delete(t.Context(), c.SenderID))
		_, err = w.stored.Project(t.Context(), c.SenderID)
		assert.ErrorIs(t, err, store.ErrNotFound)
		assert.Equal(t, []string{c.SenderID}, *w.revoked)
	})
}

func TestWhatIsNotThere(t *testing.T) {
	bothWays(t, func(t *testing.T, w world) {
		c, err := w.Create(t.Context(), "", "")
		require.NoError(t, err)
		tests := []struct {
			name string
			call func() error
		}{
			{name: "a key for an unknown project", call: func() error { _, err := w.AddKey(t.Context(), "404", ""); return err }},
			{name: "revoke a key of an unknown project", call: func() error { return w.RevokeKey(t.Context(), "404", c.KeyID) }},
			{name: "revoke an unknown key", call: func() error { return w.RevokeKey(t.Context(), c.SenderID, "404") }},
			{name: "delete an unknown project", call: func() error { return w.Delete(t.Context(), "404") }},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				err := tt.call()
				assert.ErrorIs(t, err, store.ErrNotFound)
				assert.ErrorContains(t, err, "404")
			})
		}
		assert.Empty(t, *w.revoked)
	})
}

func TestRoutesRefuseWhatTheyDoNotKnow(t *testing.T) {
	p, _ := newProjects(admin.Options{})
	mux := http.NewServeMux()
	admin.ProjectRoutes(mux, p)
	dir := t.TempDir()
	start(t, dir, mux)
	c, err := admin.Dial(dir)
	require.NoError(t, err)
	defer c.Close()
	err = c.Do(t.Context(), http.MethodPost, "/projects", map[string]string{"senderid": "1"}, nil)
	assert.ErrorIs(t, err, admin.ErrInvalid)
	assert.ErrorContains(t, err, "senderid")
}

// CCS 6.2: a key may have a list of addresses.
func TestAKeyGetsItsNetworks(t *testing.T) {
	bothWays(t, func(t *testing.T, w world) {
		made, err := w.Create(t.Context(), "", "")
		require.NoError(t, err)
		require.NoError(t, w.SetKeyNetworks(t.Context(), made.SenderID, made.KeyID, []string{"192.0.2.7/24", "2001:db8::1"}))
		list, err := w.List(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{"192.0.2.0/24", "2001:db8::1/128"}, list[0].Keys[0].Networks)
		require.ErrorIs(t, w.SetKeyNetworks(t.Context(), made.SenderID, made.KeyID, []string{"everywhere"}), admin.ErrInvalid)
		require.ErrorIs(t, w.SetKeyNetworks(t.Context(), made.SenderID, "nokey", nil), store.ErrNotFound)
		require.NoError(t, w.SetKeyNetworks(t.Context(), made.SenderID, made.KeyID, nil))
		list, err = w.List(t.Context())
		require.NoError(t, err)
		assert.Empty(t, list[0].Keys[0].Networks)
	})
}
