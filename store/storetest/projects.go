package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/openccs/openccs/store"
)

func project(sender string) *store.Project {
	return &store.Project{
		Sender: sender, Name: "Project " + sender, Created: start,
		Keys: []store.APIKey{{ID: "k1", Name: "first", Hash: store.HashKey("secret-1"), Created: start}},
	}
}

func (f fixture) projectOf(sender string) *store.Project {
	f.Helper()
	p, err := f.Project(context.Background(), sender)
	require.NoError(f, err)
	return p
}

var projectCases = []testCase{
	{"a project comes back as it was", func(f fixture) {
		require.NoError(f, f.CreateProject(context.Background(), project("1234")))
		p := f.projectOf("1234")
		assert.Equal(f, "Project 1234", p.Name)
		assert.True(f, start.Equal(p.Created))
		require.NotNil(f, p.Key("secret-1"))
		assert.Equal(f, "k1", p.Key("secret-1").ID)
		assert.Nil(f, p.Key("secret-2"))
	}},
	{"a sender ID is taken once", func(f fixture) {
		require.NoError(f, f.CreateProject(context.Background(), project("1")))
		require.ErrorIs(f, f.CreateProject(context.Background(), project("1")), store.ErrExists)
	}},
	{"a first project is made once, even if it is gone", func(f fixture) {
		require.NoError(f, f.CreateFirstProject(context.Background(), project("1")))
		assert.NotNil(f, f.projectOf("1").Key("secret-1"))
		require.ErrorIs(f, f.CreateFirstProject(context.Background(), project("2")), store.ErrExists)
		require.NoError(f, f.DeleteProject(context.Background(), "1"))
		require.ErrorIs(f, f.CreateFirstProject(context.Background(), project("1")), store.ErrExists)
		require.NoError(f, f.CreateProject(context.Background(), project("1")), "any other may be made")
	}},
	{"a store that has a project needs no first one, nor later", func(f fixture) {
		require.NoError(f, f.CreateProject(context.Background(), project("1")))
		require.ErrorIs(f, f.CreateFirstProject(context.Background(), project("2")), store.ErrExists)
		require.NoError(f, f.DeleteProject(context.Background(), "1"))
		require.ErrorIs(f, f.CreateFirstProject(context.Background(), project("2")), store.ErrExists)
		all, err := f.Projects(context.Background())
		require.NoError(f, err)
		assert.Empty(f, all)
	}},
	{"callers at once make one first project", func(f fixture) {
		var made atomic.Int32
		var g errgroup.Group
		for i := range 8 {
			g.Go(func() error {
				err := f.CreateFirstProject(context.Background(), project(fmt.Sprint(i+1)))
				if err == nil {
					made.Add(1)
				}
				if errors.Is(err, store.ErrExists) {
					return nil
				}
				return err
			})
		}
		require.NoError(f, g.Wait())
		assert.EqualValues(f, 1, made.Load())
		all, err := f.Projects(context.Background())
		require.NoError(f, err)
		assert.Len(f, all, 1)
	}},
	{"an unknown project is not found, changed or deleted", func(f fixture) {
		_, err := f.Project(context.Background(), "1")
		require.ErrorIs(f, err, store.ErrNotFound)
		never := func(*store.Project) error { panic("called for a project that is not there") }
		require.ErrorIs(f, f.UpdateProject(context.Background(), "1", never), store.ErrNotFound)
		require.ErrorIs(f, f.DeleteProject(context.Background(), "1"), store.ErrNotFound)
	}},
	{"projects are listed by sender ID, a number", func(f fixture) {
		for _, s := range []string{"200", "3", "9223372036854775807", "100"} {
			require.NoError(f, f.CreateProject(context.Background(), project(s)))
		}
		all, err := f.Projects(context.Background())
		require.NoError(f, err)
		var senders []string
		for _, p := range all {
			senders = append(senders, p.Sender)
		}
		assert.Equal(f, []string{"3", "100", "200", "9223372036854775807"}, senders)
	}},
	{"no project, an empty list", func(f fixture) {
		all, err := f.Projects(context.Background())
		require.NoError(f, err)
		assert.Empty(f, all)
	}},
	{"an update changes the project", func(f fixture) {
		require.NoError(f, f.CreateProject(context.Background(), project("1")))
		require.NoError(f, f.UpdateProject(context.Background(), "1", func(p *store.Project) error {
			p.Name = "new"
			p.Keys = append(p.Keys, store.APIKey{ID: "k2", Hash: store.HashKey("secret-2")})
			return nil
		}))
		p := f.projectOf("1")
		assert.Equal(f, "new", p.Name)
		assert.NotNil(f, p.Key("secret-1"))
		assert.NotNil(f, p.Key("secret-2"))
	}},
	{"an update that fails changes nothing, and its error comes back as it is", func(f fixture) {
		require.NoError(f, f.CreateProject(context.Background(), project("1")))
		no := errors.New("no")
		err := f.UpdateProject(context.Background(), "1", func(p *store.Project) error {
			p.Name, p.Keys[0].Name = "new", "new"
			return no
		})
		assert.Equal(f, no, err)
		assert.Equal(f, "Project 1", f.projectOf("1").Name)
		assert.Equal(f, "first", f.projectOf("1").Keys[0].Name)
	}},
	{"updates at once are all kept", func(f fixture) {
		require.NoError(f, f.CreateProject(context.Background(), project("1")))
		var g errgroup.Group
		for i := range 20 {
			g.Go(func() error {
				return f.UpdateProject(context.Background(), "1", func(p *store.Project) error {
					p.Keys = append(p.Keys, store.APIKey{ID: fmt.Sprint(i)})
					return nil
				})
			})
		}
		require.NoError(f, g.Wait())
		assert.Len(f, f.projectOf("1").Keys, 21)
	}},
	{"a project shares no memory with the callers", func(f fixture) {
		p := project("1")
		require.NoError(f, f.CreateProject(context.Background(), p))
		p.Name, p.Keys[0].Name = "changed", "changed"
		got := f.projectOf("1")
		assert.Equal(f, project("1").Keys[0].Name, got.Keys[0].Name)
		got.Name, got.Keys[0].Name = "changed", "changed"
		all, err := f.Projects(context.Background())
		require.NoError(f, err)
		assert.Equal(f, "first", all[0].Keys[0].Name)
		all[0].Keys[0].Name = "changed"
		var kept *store.Project
		require.NoError(f, f.UpdateProject(context.Background(), "1", func(p *store.Project) error { kept = p; return nil }))
		kept.Keys[0].Name = "changed"
		assert.Equal(f, "first", f.projectOf("1").Keys[0].Name)
		assert.Equal(f, "Project 1", f.projectOf("1").Name)
	}},
	{"a deleted project is gone, and its sender ID is free", func(f fixture) {
		require.NoError(f, f.CreateProject(context.Background(), project("1")))
		require.NoError(f, f.DeleteProject(context.Background(), "1"))
		_, err := f.Project(context.Background(), "1")
		require.ErrorIs(f, err, store.ErrNotFound)
		require.NoError(f, f.CreateProject(context.Background(), project("1")))
	}},
	{"a project is found by the hash of each of its keys", func(f fixture) {
		first := project("1")
		first.Keys[0].Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
		require.NoError(f, f.CreateFirstProject(context.Background(), first))
		other := project("22")
		other.Keys[0].Hash = store.HashKey("secret-of-22")
		require.NoError(f, f.CreateProject(context.Background(), other))
		p, err := f.ProjectByKey(context.Background(), store.HashKey("secret-1"))
		require.NoError(f, err)
		assert.Equal(f, "1", p.Sender)
		assert.Equal(f, first.Keys[0].Networks, p.Keys[0].Networks)
		p, err = f.ProjectByKey(context.Background(), store.HashKey("secret-of-22"))
		require.NoError(f, err)
		assert.Equal(f, "22", p.Sender)
		_, err = f.ProjectByKey(context.Background(), store.HashKey("secret-3"))
		require.ErrorIs(f, err, store.ErrNotFound)
	}},
	{"a key that is added is found, and one that is removed is not", func(f fixture) {
		require.NoError(f, f.CreateProject(context.Background(), project("1")))
		find := func(key string) error {
			_, err := f.ProjectByKey(context.Background(), store.HashKey(key))
			return err
		}
		require.NoError(f, find("secret-1"))
		require.ErrorIs(f, find("secret-2"), store.ErrNotFound)
		require.NoError(f, f.UpdateProject(context.Background(), "1", func(p *store.Project) error {
			p.Keys = append(p.Keys, store.APIKey{ID: "k2", Hash: store.HashKey("secret-2")})
			return nil
		}))
		require.NoError(f, find("secret-2"))
		require.NoError(f, find("secret-1"))
		require.NoError(f, f.UpdateProject(context.Background(), "1", func(p *store.Project) error {
			p.Keys = p.Keys[1:]
			return nil
		}))
		require.ErrorIs(f, find("secret-1"), store.ErrNotFound)
		require.NoError(f, find("secret-2"))
		require.NoError(f, f.DeleteProject(context.Background(), "1"))
		require.ErrorIs(f, find("secret-2"), store.ErrNotFound)
		moved := project("3")
		moved.Keys[0].Hash = store.HashKey("secret-2")
		require.NoError(f, f.CreateProject(context.Background(), moved))
		p, err := f.ProjectByKey(context.Background(), store.HashKey("secret-2"))
		require.NoError(f, err)
		assert.Equal(f, "3", p.Sender)
	}},
	{"the first secret of a name wins", func(f fixture) {
		got, err := f.Secret(context.Background(), "token", []byte("first"))
		require.NoError(f, err)
		assert.Equal(f, "first", string(got))
		copy(got, "XXXXX")
		got, err = f.Secret(context.Background(), "token", []byte("second"))
		require.NoError(f, err)
		assert.Equal(f, "first", string(got))
		got, err = f.Secret(context.Background(), "other", []byte("third"))
		require.NoError(f, err)
		assert.Equal(f, "third", string(got))
	}},
	{"callers at once get the same secret", func(f fixture) {
		answers := make([]string, 8)
		var g errgroup.Group
		for i := range answers {
			g.Go(func() error {
				got, err := f.Secret(context.Background(), "token", []byte(fmt.Sprint("fresh", i)))
				answers[i] = string(got)
				return err
			})
		}
		require.NoError(f, g.Wait())
		for _, a := range answers {
			assert.Equal(f, answers[0], a)
		}
	}},
}

var presenceCases = []testCase{
	{"a store that was never used had no session", func(f fixture) {
		p, ok := f.Store.(store.Presence)
		if !ok {
			f.Skip("the store remembers no presence")
		}
		keys, err := p.Present(context.Background())
		require.NoError(f, err)
		assert.Empty(f, keys)
		require.NoError(f, p.SetPresent(context.Background(), device, true))
		require.NoError(f, p.SetPresent(context.Background(), device, false))
		require.NoError(f, p.SetPresent(context.Background(), another, false))
	}},
}

var closingCases = []testCase{
	{"after Close every call ends with ErrClosed", func(f fixture) {
		f.keep(message("a"))
		require.NoError(f, f.Close())
		for name, call := range f.calls(context.Background()) {
			assert.ErrorIs(f, call(), store.ErrClosed, name)
		}
	}},
	{"Close twice is harmless", func(f fixture) {
		require.NoError(f, f.Close())
		require.NoError(f, f.Close())
	}},
	{"a context that has ended ends every call", func(f fixture) {
		f.keep(message("a"))
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		for name, call := range f.calls(ctx) {
			assert.ErrorIs(f, call(), context.Canceled, name)
		}
		assert.Equal(f, []string{"a"}, f.waiting(device))
	}},
	{"calls under way when the store closes end with ErrClosed or as ever", func(f fixture) {
		var g errgroup.Group
		for i := range 4 {
			g.Go(func() error {
				for {
					k := queueNo(i)
					_, err := f.Put(context.Background(), []store.Entry{message("a", in(k))}, start)
					if err == nil {
						var got []store.Entry
						got, err = f.Claim(context.Background(), k, 1, 10, start)
						if err == nil {
							_, err = f.Ack(context.Background(), k, idsOf(got)...)
						}
					}
					if errors.Is(err, store.ErrClosed) {
						return nil
					}
					if err != nil {
						return err
					}
				}
			})
		}
		time.Sleep(5 * time.Millisecond) // lets the calls begin; nothing depends on how many do
		require.NoError(f, f.Close())
		require.NoError(f, g.Wait())
	}},
}

// calls returns one call of every method.
func (f fixture) calls(ctx context.Context) map[string]func() error {
	calls := map[string]func() error{
		"Put":     func() error { _, err := f.Put(ctx, []store.Entry{message("x")}, start); return err },
		"Claim":   func() error { _, err := f.Claim(ctx, device, 1, 1, start); return err },
		"Has":     func() error { _, err := f.Has(ctx, device, 1); return err },
		"Ack":     func() error { _, err := f.Ack(ctx, device, 1); return err },
		"Release": func() error { return f.Release(ctx, device, 1) },
		"Purge":   func() error { _, err := f.Purge(ctx, device, "com.example.app"); return err },
		"Expire":  func() error { _, _, err := f.Expire(ctx, start, 1); return err },
		"Register": func() error {
			_, err := f.Register(ctx, classic("t", "1"), start)
			return err
		},
		"Registrations":       func() error { _, err := f.Registrations(ctx, nil, []string{"t"}); return err },
		"DeviceRegistrations": func() error { _, err := f.DeviceRegistrations(ctx, 1); return err },
		"Unregister":          func() error { return f.Unregister(ctx, start, "t") },
		"CreateProject":       func() error { return f.CreateProject(ctx, project("1")) },
		"CreateFirstProject":  func() error { return f.CreateFirstProject(ctx, project("1")) },
		"Project":             func() error { _, err := f.Project(ctx, "1"); return err },
		"ProjectByKey":        func() error { _, err := f.ProjectByKey(ctx, store.HashKey("secret-1")); return err },
		"Projects":            func() error { _, err := f.Projects(ctx); return err },
		"UpdateProject": func() error {
			return f.UpdateProject(ctx, "1", func(*store.Project) error { return nil })
		},
		"DeleteProject":      func() error { return f.DeleteProject(ctx, "1") },
		"CreateOAuthClient":  func() error { return f.CreateOAuthClient(ctx, oauthClient("c", "1")) },
		"OAuthClient":        func() error { _, err := f.OAuthClient(ctx, "c"); return err },
		"OAuthClients":       func() error { _, err := f.OAuthClients(ctx, "1"); return err },
		"DeleteOAuthClient":  func() error { return f.DeleteOAuthClient(ctx, "c") },
		"PutRefreshToken":    func() error { return f.PutRefreshToken(ctx, refreshToken("t", "c", "1")) },
		"RefreshToken":       func() error { _, err := f.RefreshToken(ctx, store.HashKey("t")); return err },
		"DeleteRefreshToken": func() error { return f.DeleteRefreshToken(ctx, store.HashKey("t")) },
		"Secret":             func() error { _, err := f.Secret(ctx, "s", []byte("x")); return err },
	}
	if p, ok := f.Store.(store.Presence); ok {
		calls["SetPresent"] = func() error { return p.SetPresent(ctx, device, true) }
		calls["Present"] = func() error { _, err := p.Present(ctx); return err }
	}
	return calls
}
