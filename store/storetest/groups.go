package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
)

// groupOf returns a group of project 1 with members.
func (f fixture) groupOf(name string, regs ...*store.Registration) *store.Group {
	f.Helper()
	g := &store.Group{Sender: "1", Name: name, Created: start.Add(1500 * time.Microsecond)}
	var err error
	g.Key, err = store.NewGroupKey(g.ID())
	require.NoError(f, err)
	for _, r := range regs {
		g.Members = append(g.Members, store.MemberOf(r))
	}
	return g
}

// createGroup keeps a group of project 1.
func (f fixture) createGroup(name string, regs ...*store.Registration) *store.Group {
	f.Helper()
	g := f.groupOf(name, regs...)
	require.NoError(f, f.CreateGroup(context.Background(), g))
	return g
}

// members returns the tokens in a group, nil if there is none.
func (f fixture) members(g *store.Group) (tokens []string) {
	f.Helper()
	got, err := f.Group(context.Background(), g.ID())
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	require.NoError(f, err)
	require.NotEmpty(f, got.Members)
	for _, m := range got.Members {
		tokens = append(tokens, m.Token)
	}
	return tokens
}

func join(regs ...*store.Registration) func(*store.Group) error {
	return func(g *store.Group) error {
		for _, r := range regs {
			if g.Member(r.Place()) < 0 {
				g.Members = append(g.Members, store.MemberOf(r))
			}
		}
		return nil
	}
}

func leave(regs ...*store.Registration) func(*store.Group) error {
	return func(g *store.Group) error {
		for _, r := range regs {
			g.Members = slices.DeleteFunc(g.Members, func(m store.Member) bool { return m.Place == r.Place() })
		}
		return nil
	}
}

func (f fixture) updateGroup(g *store.Group, fn func(*store.Group) error) {
	f.Helper()
	require.NoError(f, f.UpdateGroup(context.Background(), g.ID(), fn))
}

// groupNames returns the names of a project's groups, read in pages, sorted.
func (f fixture) groupNames(sender string, page int) (names []string) {
	f.Helper()
	for after := (store.GroupID{}); ; {
		some, err := f.ListGroups(context.Background(), sender, after, page)
		require.NoError(f, err)
		require.LessOrEqual(f, len(some), page)
		if len(some) == 0 {
			slices.Sort(names)
			return names
		}
		for _, g := range some {
			if after.Sender != "" {
				require.Positive(f, g.ID().Compare(after))
			}
			after = g.ID()
			names = append(names, g.Name)
		}
	}
}

var groupCases = []testCase{
	{"a group comes back as it was kept, found by its key", func(f fixture) {
		g := f.createGroup("user-7", f.appsOf(3)...)
		id, ok := store.ParseGroupKey(g.Key)
		require.True(f, ok)
		got, err := f.Group(context.Background(), id)
		require.NoError(f, err)
		assert.True(f, store.Alike(g, got), "%+v", got)
	}},
	{"a group that nobody made is not found", func(f fixture) {
		g := f.groupOf("user-7")
		_, err := f.Group(context.Background(), g.ID())
		require.ErrorIs(f, err, store.ErrNotFound)
		require.ErrorIs(f, f.UpdateGroup(context.Background(), g.ID(), join()), store.ErrNotFound)
	}},
	{"a project has one group of a name", func(f fixture) {
		regs := f.appsOf(2)
		g := f.createGroup("user-7", regs[0])
		require.ErrorIs(f, f.CreateGroup(context.Background(), f.groupOf("user-7", regs[1])), store.ErrExists)
		assert.Equal(f, []string{"app0"}, f.members(g))
		other := f.groupOf("user-7", regs[1])
		other.Sender = "2"
		require.NoError(f, f.CreateGroup(context.Background(), other))
		assert.Equal(f, []string{"app1"}, f.members(other))
	}},
	{"members join and leave, and keep their order", func(f fixture) {
		regs := f.appsOf(5)
		g := f.createGroup("user-7", regs[:2]...)
		f.updateGroup(g, join(regs[1], regs[2], regs[3]))
		assert.Equal(f, []string{"app0", "app1", "app2", "app3"}, f.members(g))
		f.updateGroup(g, leave(regs[1], regs[4]))
		assert.Equal(f, []string{"app0", "app2", "app3"}, f.members(g))
	}},
	{"a change that fails changes nothing", func(f fixture) {
		regs := f.appsOf(2)
		g := f.createGroup("user-7", regs[0])
		refused := errors.New("refused")
		err := f.UpdateGroup(context.Background(), g.ID(), func(g *store.Group) error {
			g.Members = append(g.Members, store.MemberOf(regs[1]))
			return refused
		})
		require.ErrorIs(f, err, refused)
		assert.Equal(f, []string{"app0"}, f.members(g))
	}},
	{"a group ends with its last member, and its name is free again", func(f fixture) {
		regs := f.appsOf(1)
		g := f.createGroup("user-7", regs[0])
		f.updateGroup(g, leave(regs[0]))
		assert.Empty(f, f.members(g))
		assert.Empty(f, f.groupNames("1", 10))
		again := f.createGroup("user-7", regs[0])
		assert.NotEqual(f, g.Key, again.Key)
	}},
	{"unregistering ends a membership, and that of the last the group", func(f fixture) {
		regs := f.appsOf(2)
		g := f.createGroup("user-7", regs...)
		f.unregister("app0")
		assert.Equal(f, []string{"app1"}, f.members(g))
		f.unregister("app1")
		assert.Empty(f, f.members(g))
		assert.Empty(f, f.groupNames("1", 10))
		f.createGroup("user-7", f.register(classic("t", "1")))
	}},
	{"a newer token of the slot takes the membership over", func(f fixture) {
		old := f.register(classic("old", "1"))
		g := f.createGroup("user-7", old)
		f.updateGroup(g, join(f.appsOf(1)...))
		fresh := f.register(classic("new", "1", "2"))
		assert.Equal(f, []string{"new", "app0"}, f.members(g))
		f.updateGroup(g, join(fresh, old))
		assert.Equal(f, []string{"new", "app0"}, f.members(g))
	}},
	{"a token that was superseded or unregistered joins as what it is now", func(f fixture) {
		old := f.register(classic("old", "1"))
		f.register(classic("new", "1", "2"))
		gone := f.appsOf(1)[0]
		f.unregister(gone.Token)
		g := f.createGroup("user-7", old, gone)
		assert.Equal(f, []string{"new"}, f.members(g))
		f.updateGroup(g, join(gone))
		assert.Equal(f, []string{"new"}, f.members(g))
		require.ErrorIs(f, f.CreateGroup(context.Background(), f.groupOf("user-8", gone)), store.ErrNotFound)
		assert.Equal(f, []string{"user-7"}, f.groupNames("1", 10))
	}},
	{"a membership outlives the older tokens, and ends with the newest", func(f fixture) {
		g := f.createGroup("user-7", f.register(classic("old", "1")))
		f.register(classic("new", "1", "2"))
		forgetter, ok := f.Store.(store.Forgetter)
		require.True(f, ok)
		require.NoError(f, forgetter.ForgetRegistrations(context.Background(), "old"))
		assert.Equal(f, []string{"new"}, f.members(g))
		f.unregister("new")
		assert.Empty(f, f.members(g))
	}},
	{"a device that is forgotten is in no group", func(f fixture) {
		st, ok := f.Store.(store.NewDevices)
		if !ok {
			f.Skip("the store does not note new devices")
		}
		require.NoError(f, st.AddNewDevice(context.Background(), device.ID, start))
		other := classic("other", "1")
		other.App = "com.example.other"
		stays := classic("stays", "1")
		stays.Device++
		g := f.createGroup("user-7", f.register(classic("t", "1")), f.register(other), f.register(stays))
		_, err := st.ForgetNewDevices(context.Background(), start.Add(day), 10)
		require.NoError(f, err)
		assert.Equal(f, []string{"stays"}, f.members(g))
		f.unregister("stays")
		assert.Empty(f, f.members(g))
	}},
	{"a registration is in many groups, each of which it leaves", func(f fixture) {
		regs := f.appsOf(2)
		for i := range 5 {
			f.createGroup("user-"+strconv.Itoa(i), regs...)
		}
		f.unregister("app0")
		for i := range 5 {
			assert.Equal(f, []string{"app1"}, f.members(f.groupOf("user-"+strconv.Itoa(i))))
		}
	}},
	{"groups are listed in pages, each project's apart", func(f fixture) {
		regs := f.appsOf(1)
		var want []string
		for i := range 12 {
			want = append(want, f.createGroup(fmt.Sprintf("user-%02d", i), regs...).Name)
		}
		other := f.groupOf("user-7", regs...)
		other.Sender = "12"
		require.NoError(f, f.CreateGroup(context.Background(), other))
		for _, page := range []int{1, 5, 12, 100} {
			assert.Equal(f, want, f.groupNames("1", page))
		}
		assert.Equal(f, []string{"user-7"}, f.groupNames("12", 10))
		assert.Empty(f, f.groupNames("2", 10))
	}},
	{"a registration is in so many groups and no more", func(f fixture) {
		regs := f.appsOf(2)
		page := &store.Page{Registrations: regs}
		for i := range store.MaxGroups {
			page.Groups = append(page.Groups, f.groupOf("user-"+strconv.Itoa(i), regs[0]))
		}
		m := f.movable()
		for len(page.Groups) > 0 {
			n := min(len(page.Groups), store.PageSize)
			require.NoError(f, m.Restore(context.Background(), &store.Page{Groups: page.Groups[:n]}, start))
			page.Groups = page.Groups[n:]
		}
		require.ErrorIs(f, f.CreateGroup(context.Background(), f.groupOf("one more", regs...)), store.ErrTooManyGroups)
		g := f.createGroup("one more", regs[1])
		require.ErrorIs(f, f.UpdateGroup(context.Background(), g.ID(), join(regs[0])), store.ErrTooManyGroups)
		assert.Equal(f, []string{"app1"}, f.members(g))
		f.updateGroup(f.groupOf("user-0"), join(regs[1]))
		assert.Equal(f, []string{"app0", "app1"}, f.members(f.groupOf("user-0")))
	}},
	{"members that join at the same time are all in", func(f fixture) {
		regs := f.appsOf(10)
		g := f.createGroup("user-7", regs[0])
		var wg sync.WaitGroup
		for _, r := range regs[1:] {
			wg.Go(func() { assert.NoError(f, f.UpdateGroup(context.Background(), g.ID(), join(r))) })
		}
		wg.Wait()
		assert.Len(f, f.members(g), len(regs))
	}},
	{"a group is moved with its members, who can leave", func(f fixture) {
		regs := f.appsOf(2)
		g := f.createGroup("user-7", regs...)
		to := f.moved()
		got, err := to.Group(context.Background(), g.ID())
		require.NoError(f, err)
		assert.True(f, store.Alike(g, got), "%+v", got)
		to.unregister("app0")
		assert.Equal(f, []string{"app1"}, to.members(g))
	}},
}
