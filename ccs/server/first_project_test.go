package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/server"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

// startOnce starts a server, gives its commands to do, and ends it.
func startOnce(t *testing.T, c server.Config, do func(s *server.Server, commands *admin.Client)) {
	t.Helper()
	s := start(t, c)
	commands, err := admin.Dial(c.DataDir)
	require.NoError(t, err)
	defer commands.Close()
	do(s, commands)
	require.NoError(t, s.Shutdown(context.Background()))
}

func TestTheFirstProjectDoesNotComeBack(t *testing.T) {
	t.Parallel()
	c := config(t)
	var sender string
	startOnce(t, c, func(s *server.Server, commands *admin.Client) {
		assert.True(t, s.Card().NewKey)
		sender = s.Card().SenderID
		all, err := commands.List(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 1)
		require.NoError(t, commands.RevokeKey(t.Context(), sender, all[0].Keys[0].ID))
	})
	startOnce(t, c, func(s *server.Server, commands *admin.Client) {
		assert.Equal(t, sender, s.Card().SenderID, "devices may still register for it")
		assert.Empty(t, s.Card().APIKey)
		all, err := commands.List(t.Context())
		require.NoError(t, err)
		assert.Len(t, all, 1)
		require.NoError(t, commands.Delete(t.Context(), sender))
	})
	startOnce(t, c, func(s *server.Server, commands *admin.Client) {
		assert.Empty(t, s.Card().SenderID)
		all, err := commands.List(t.Context())
		require.NoError(t, err)
		assert.Empty(t, all)
	})
}

func TestNoFirstProject(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.NoFirstProject = true
	startOnce(t, c, func(s *server.Server, commands *admin.Client) {
		all, err := commands.List(t.Context())
		require.NoError(t, err)
		assert.Empty(t, all)
		assert.Empty(t, s.Card().SenderID)
	})
	c.NoFirstProject = false
	startOnce(t, c, func(s *server.Server, _ *admin.Client) { assert.True(t, s.Card().NewKey) })
}

func TestServersThatStartTogetherMakeOneFirstProject(t *testing.T) {
	t.Parallel()
	r := redistest.Single(t)
	servers := make([]*server.Server, 3)
	var g errgroup.Group
	for i := range servers {
		c := config(t)
		c.Store = r.URL("a:")
		g.Go(func() (err error) {
			servers[i], err = server.Start(context.Background(), c)
			return err
		})
	}
	err := g.Wait()
	keys := 0
	for _, s := range servers {
		if s == nil {
			continue
		}
		t.Cleanup(func() { assert.NoError(t, s.Shutdown(context.Background())) })
		if s.Card().APIKey != "" {
			keys++
		}
	}
	require.NoError(t, err)
	assert.Equal(t, 1, keys, "one of the cards has the key")

	c := config(t)
	c.Store = r.URL("a:")
	st, err := server.OpenStore(t.Context(), c)
	require.NoError(t, err)
	defer st.Close()
	all, err := st.Projects(t.Context())
	require.NoError(t, err)
	assert.Len(t, all, 1)
}

// cutStore is a store whose server dies when it makes the first project: before or after the store
// has it.
type cutStore struct {
	store.Store
	after bool
}

var errKilled = errors.New("killed")

func (s *cutStore) CreateFirstProject(ctx context.Context, p *store.Project) error {
	if s.after {
		if err := s.Store.CreateFirstProject(ctx, p); err != nil {
			return err
		}
	}
	return errKilled
}

// A server that is killed while it makes the first project leaves a project whose key the next
// start shows.
func TestTheKeyOfTheFirstProjectIsNeverLost(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]bool{"killed before the store has the project": false, "killed after": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := config(t)
			c.OpenDisk = func(dir string) (store.Store, error) {
				s, err := diskstore.Open(dir, diskstore.Options{})
				return &cutStore{s, after}, err
			}
			_, err := server.Start(t.Context(), c)
			require.ErrorIs(t, err, errKilled)

			c.OpenDisk = nil
			var key string
			startOnce(t, c, func(s *server.Server, commands *admin.Client) {
				key = s.Card().APIKey
				require.NotEmpty(t, key)
				assert.True(t, s.Card().NewKey, "nobody has seen it")
				all, err := commands.List(t.Context())
				require.NoError(t, err)
				require.Len(t, all, 1)
				client, err := ccsclient.Dial(t.Context(), s.XMPPAddr(), s.Card().SenderID, key, ccsclient.Options{TLS: &tls.Config{InsecureSkipVerify: true}})
				require.NoError(t, err)
				assert.NoError(t, client.Close())
			})
			startOnce(t, c, func(s *server.Server, _ *admin.Client) {
				assert.Equal(t, key, s.Card().APIKey)
				assert.False(t, s.Card().NewKey)
			})
		})
	}
}
