package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Group is a device group of a project (TOPICS 4). It has at least one member.
type Group struct {
	Key     string // the notification_key, made by NewGroupKey
	Sender  string // the project's sender ID
	Name    string // the notification_key_name
	Created time.Time
	Members []Member // in the order in which they joined
}

// Member is a registration in a group.
type Member struct {
	Token string
	Place Place // the same for the token that supersedes this one
}

// MemberOf returns the member that a registration is.
func MemberOf(r *Registration) Member { return Member{Token: r.Token, Place: r.Place()} }

// MaxMembers is the number of members that a group may have (TOPICS 7). MaxGroups is the number of
// groups in which one registration may be.
const (
	MaxMembers = 20
	MaxGroups  = 2000
)

// ErrTooManyGroups says that a registration is in MaxGroups groups already.
var ErrTooManyGroups = errors.New("too many groups")

// GroupID names a group: by its project and a sum of its name. A project has one group of a name.
type GroupID struct {
	Sender string
	Sum    [groupSumLen]byte
}

const groupSumLen = 16

// GroupIDOf returns the ID of the group with a name.
func GroupIDOf(sender, name string) GroupID {
	sum := sha256.Sum256([]byte(name))
	return GroupID{Sender: sender, Sum: [groupSumLen]byte(sum[:])}
}

// ID returns the ID of the group.
func (g *Group) ID() GroupID { return GroupIDOf(g.Sender, g.Name) }

// String returns the ID for errors, logs and Redis. It does not reveal the name.
func (id GroupID) String() string { return id.Sender + "/" + hex.EncodeToString(id.Sum[:]) }

// ParseGroupID parses the result of String.
func ParseGroupID(s string) (id GroupID, err error) {
	sender, sum, ok := strings.Cut(s, "/")
	b, err := hex.DecodeString(sum)
	if !ok || err != nil || len(b) != groupSumLen {
		return GroupID{}, fmt.Errorf("%q names no group", s)
	}
	return GroupID{Sender: sender, Sum: [groupSumLen]byte(b)}, nil
}

// Compare orders IDs by sender and sum.
func (id GroupID) Compare(o GroupID) int {
	return cmp.Or(strings.Compare(id.Sender, o.Sender), slices.Compare(id.Sum[:], o.Sum[:]))
}

// groupKeyHead begins every group key and no registration token (TOPICS 4.1).
const groupKeyHead = "APA91bGrp-"

const (
	groupSenderLen = 16 // sender ID, as hex digits
	groupIDLen     = groupSenderLen + 2*groupSumLen
	groupKeyLen    = 140 // as long as a token
)

// IsGroupKey reports whether a string is a group key and not a registration token.
func IsGroupKey(s string) bool { return strings.HasPrefix(s, groupKeyHead) }

// NewGroupKey returns a key for a group that nobody can guess. It has the alphabet and the length
// of a registration token. The ID of the group is in it, so one lookup finds the group. It never
// contains "Error", which some clients take for a failure (DEV 3.1).
func NewGroupKey(id GroupID) (string, error) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	sender, err := strconv.ParseUint(id.Sender, 10, 64)
	if err != nil {
		return "", fmt.Errorf("key of a group: %w", err)
	}
	head := fmt.Sprintf("%s%0*x%x", groupKeyHead, groupSenderLen, sender, id.Sum)
	for {
		var b [groupKeyLen - len(groupKeyHead) - groupIDLen]byte
		rand.Read(b[:])
		for i := range b {
			b[i] = alphabet[b[i]%byte(len(alphabet))]
		}
		if key := head + string(b[:]); !strings.Contains(key, "Error") {
			return key, nil
		}
	}
}

// ParseGroupKey returns the ID of the group that has a key, if any has. Another group may have that
// ID by now.
func ParseGroupKey(key string) (id GroupID, ok bool) {
	if len(key) != groupKeyLen || !IsGroupKey(key) {
		return GroupID{}, false
	}
	key = key[len(groupKeyHead):]
	sender, err := strconv.ParseUint(key[:groupSenderLen], 16, 64)
	if err != nil {
		return GroupID{}, false
	}
	if _, err := hex.Decode(id.Sum[:], []byte(key[groupSenderLen:groupIDLen])); err != nil {
		return GroupID{}, false
	}
	id.Sender = strconv.FormatUint(sender, 10)
	return id, true
}

// Clone returns a copy that shares nothing with g.
func (g *Group) Clone() *Group {
	c := *g
	c.Members = slices.Clone(g.Members)
	return &c
}

// Member returns the index of the member at a place, or -1.
func (g *Group) Member(p Place) int {
	return slices.IndexFunc(g.Members, func(m Member) bool { return m.Place == p })
}

// Follow makes the members follow their tokens. now returns the registration that has the token of
// a member now, or nil. A registration stays a member once.
func (g *Group) Follow(now func(Member) (*Registration, error)) error {
	members := make([]Member, 0, len(g.Members))
	for _, m := range g.Members {
		r, err := now(m)
		if err != nil {
			return err
		}
		if r == nil || slices.ContainsFunc(members, func(o Member) bool { return o.Place == r.Place() }) {
			continue
		}
		members = append(members, MemberOf(r))
	}
	g.Members = members
	return nil
}

// Left returns the places of the members of g that are not in next, which may be nil.
func (g *Group) Left(next *Group) (places []Place) {
	if g == nil {
		return nil
	}
	for _, m := range g.Members {
		if next == nil || next.Member(m.Place) < 0 {
			places = append(places, m.Place)
		}
	}
	return places
}

// Groups keeps the device groups. The members follow their tokens (TOPICS 1): a newer token of the
// slot takes the membership over, and it ends when the token is unregistered or forgotten. A group
// is forgotten with its last member.
type Groups interface {
	// CreateGroup keeps a new group. It leaves out members that have ended, and returns ErrNotFound
	// if none is left. It returns ErrExists if there is a group with the same ID, and
	// ErrTooManyGroups if a member is in too many.
	CreateGroup(ctx context.Context, g *Group) error
	// Group returns the group with an ID, or ErrNotFound. Its members are living tokens.
	Group(ctx context.Context, id GroupID) (*Group, error)
	// UpdateGroup changes the members of a group with fn, which may run again after a concurrent
	// change. It returns ErrNotFound if there is none, and ErrTooManyGroups. It returns an error of
	// fn as it is, and then changes nothing. It leaves out members that have ended.
	UpdateGroup(ctx context.Context, id GroupID, fn func(*Group) error) error
	// ListGroups returns at most max groups of a project, in the order of their IDs, after an ID.
	// The zero ID is before all others.
	ListGroups(ctx context.Context, sender string, after GroupID, max int) ([]*Group, error)
}
