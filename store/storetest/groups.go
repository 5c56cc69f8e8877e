package storetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/openccs/openccs/store"
)

func group(sender, name string, members ...string) *store.Group {
	return &store.Group{Sender: sender, Name: name, Key: "key-" + sender + "-" + name, Members: members, Created: start}
}

func (f fixture) createGroups(groups ...*store.Group) {
	f.Helper()
	for _, g := range groups {
		require.NoError(f, f.CreateGroup(context.Background(), g))
	}
}

// groupsOf returns the names of a project's groups.
func (f fixture) groupsOf(sender string, page int) (names []string) {
	f.Helper()
	for after := ""; ; after = names[len(names)-1] {
		some, err := f.Groups(context.Background(), sender, after, page)
		require.NoError(f, err)
		require.LessOrEqual(f, len(some), page)
		if len(some) == 0 {
			return names
		}
		for _, g := range some {
			names = append(names, g.Name)
		}
	}
}

var groupCases = []testCase{
	{"a group comes back as it was, by key and by name", func(f fixture) {
		f.createGroups(group("1", "user 7", "a", "b"))
		for _, read := range []func() (*store.Group, error){
			func() (*store.Group, error) { return f.Group(context.Background(), "1", "key-1-user 7") },
			func() (*store.Group, error) { return f.GroupNamed(context.Background(), "1", "user 7") },
		} {
			g, err := read()
			require.NoError(f, err)
			assert.True(f, start.Equal(g.Created))
			g.Created = start
			assert.Equal(f, group("1", "user 7", "a", "b"), g)
			g.Members[0] = "changed"
		}
	}},
	{"a name and a key are taken once in a project", func(f fixture) {
		f.createGroups(group("1", "a", "x"), group("2", "a", "x"))
		require.ErrorIs(f, f.CreateGroup(context.Background(), group("1", "a", "y")), store.ErrExists)
		other := group("1", "b", "y")
		other.Key = "key-1-a"
		require.ErrorIs(f, f.CreateGroup(context.Background(), other), store.ErrExists)
		assert.Equal(f, []string{"a"}, f.groupsOf("1", 10))
	}},
	{"an unknown group is not found or changed, nor one of another project", func(f fixture) {
		f.createGroups(group("1", "a", "x"))
		_, err := f.Group(context.Background(), "2", "key-1-a")
		require.ErrorIs(f, err, store.ErrNotFound)
		_, err = f.GroupNamed(context.Background(), "2", "a")
		require.ErrorIs(f, err, store.ErrNotFound)
		err = f.UpdateGroup(context.Background(), "2", "key-1-a", func(*store.Group) error { return errors.New("called") })
		require.ErrorIs(f, err, store.ErrNotFound)
	}},
	{"a group is changed, unless the function fails", func(f fixture) {
		f.createGroups(group("1", "a", "x"))
		require.NoError(f, f.UpdateGroup(context.Background(), "1", "key-1-a", func(g *store.Group) error {
			g.Members = append(g.Members, "y")
			return nil
		}))
		failure := errors.New("no")
		require.ErrorIs(f, f.UpdateGroup(context.Background(), "1", "key-1-a", func(g *store.Group) error {
			g.Members = nil
			return failure
		}), failure)
		g, err := f.Group(context.Background(), "1", "key-1-a")
		require.NoError(f, err)
		assert.Equal(f, []string{"x", "y"}, g.Members)
	}},
	{"without members a group is gone, and its name is free", func(f fixture) {
		f.createGroups(group("1", "a", "x"), group("1", "b", "x"))
		require.NoError(f, f.UpdateGroup(context.Background(), "1", "key-1-a", func(g *store.Group) error {
			g.Members = nil
			return nil
		}))
		_, err := f.Group(context.Background(), "1", "key-1-a")
		require.ErrorIs(f, err, store.ErrNotFound)
		_, err = f.GroupNamed(context.Background(), "1", "a")
		require.ErrorIs(f, err, store.ErrNotFound)
		assert.Equal(f, []string{"b"}, f.groupsOf("1", 10))
		f.createGroups(group("1", "a", "y"))
	}},
	{"groups are listed by name, in pages", func(f fixture) {
		f.createGroups(group("1", "b", "x"), group("1", "a", "x"), group("11", "c", "x"), group("1", "ab", "x"))
		for _, page := range []int{1, 2, 10} {
			assert.Equal(f, []string{"a", "ab", "b"}, f.groupsOf("1", page))
		}
		assert.Empty(f, f.groupsOf("2", 10))
	}},
	{"changes at the same time all happen", func(f fixture) {
		f.createGroups(group("1", "a", "x"))
		var g errgroup.Group
		for i := range 10 {
			g.Go(func() error {
				return f.UpdateGroup(context.Background(), "1", "key-1-a", func(g *store.Group) error {
					g.Members = append(g.Members, fmt.Sprint(i))
					return nil
				})
			})
		}
		require.NoError(f, g.Wait())
		got, err := f.Group(context.Background(), "1", "key-1-a")
		require.NoError(f, err)
		assert.Len(f, got.Members, 11)
	}},
}
