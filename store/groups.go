package store

import (
	"context"
	"slices"
	"time"
)

// Group is a device group of a project (TOPICS 4). It has a member as long as it exists.
type Group struct {
	Sender  string   // the project's sender ID
	Name    string   // not empty, without NUL
	Key     string   // the notification key
	Members []string // registration tokens as they joined; some may have ended or been superseded since
	Created time.Time
}

// Clone returns a copy that shares nothing with g.
func (g *Group) Clone() *Group {
	c := *g
	c.Members = slices.Clone(g.Members)
	return &c
}

// Groups keeps the device groups.
type Groups interface {
	// CreateGroup keeps a new group. It returns ErrExists if the project has a group of that name or
	// key.
	CreateGroup(ctx context.Context, g *Group) error
	// Group returns a group by its key, or ErrNotFound.
	Group(ctx context.Context, sender, key string) (*Group, error)
	// GroupNamed returns a group by its name, or ErrNotFound.
	GroupNamed(ctx context.Context, sender, name string) (*Group, error)
	// UpdateGroup changes the members of a group with fn, which may run again after a concurrent
	// change. A group without members is forgotten. It returns ErrNotFound if there is none. It
	// returns an error of fn as it is, and then changes nothing.
	UpdateGroup(ctx context.Context, sender, key string, fn func(*Group) error) error
	// Groups returns at most max groups of a project, in the order of their names, after a name.
	Groups(ctx context.Context, sender, after string, max int) ([]*Group, error)
}
