package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// Topic names a topic of a project (TOPICS 2.1). It exists while somebody is subscribed.
type Topic struct {
	Sender string // the project's sender ID
	Name   string // without /topics/; not empty, without NUL
}

// String returns the topic for errors and logs.
func (t Topic) String() string { return "topic " + t.Name + " of " + t.Sender }

// MaxTopics is the number of topics to which one registration may be subscribed (TOPICS 7).
const MaxTopics = 2000

// ErrTooManyTopics says that a registration has MaxTopics already.
var ErrTooManyTopics = errors.New("too many topics")

// Place is the place of a subscriber among those of a topic: its device and a sum of its slot. The
// token that supersedes another has the same place. So a walk over a topic in the order of places
// meets each subscriber once, even if devices register during the walk.
type Place [placeLen]byte

const (
	placeDevice = 8
	placeLen    = placeDevice + 16
)

// Place returns the place of the registration in every topic.
func (r *Registration) Place() (p Place) {
	binary.BigEndian.PutUint64(p[:], r.Device)
	sum := sha256.Sum256([]byte(r.Slot()))
	copy(p[placeDevice:], sum[:])
	return p
}

// MarshalText returns the place in hexadecimal.
func (p Place) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, p[:]), nil }

// UnmarshalText parses the result of MarshalText.
func (p *Place) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != placeLen {
		return fmt.Errorf("%q is no place", text)
	}
	*p = Place(b)
	return nil
}

// Device returns the device of the subscriber.
func (p Place) Device() uint64 { return binary.BigEndian.Uint64(p[:]) }

// Subscription is a token's membership of a topic.
type Subscription struct {
	Topic Topic
	Place Place
	Token string
	Since time.Time // to the microsecond
}

// Topics keeps the subscriptions. They follow the token (TOPICS 1): a newer token of the slot takes
// them over, and they end when the token is unregistered or forgotten. A store whose records are in
// several places may still list the older token, or one that has ended. Resolve knows which.
type Topics interface {
	// SubscribeTopic subscribes living registrations to a topic. One that is subscribed keeps its
	// time. A *PartialError has ErrTooManyTopics for each registration that has MaxTopics.
	SubscribeTopic(ctx context.Context, t Topic, regs []*Registration, now time.Time) error
	// UnsubscribeTopic ends subscriptions. It skips registrations that are not subscribed.
	UnsubscribeTopic(ctx context.Context, t Topic, regs []*Registration) error
	// Subscribers returns at most max subscriptions to a topic, in the order of places, after a
	// place. The zero Place is before all others.
	Subscribers(ctx context.Context, t Topic, after Place, max int) ([]Subscription, error)
	// Resolve appends to dst, for each subscription, the living registration that has it now. It
	// appends nil for a subscription that has ended. It keeps no record in memory for later
	// lookups. Of a record only the fields that name the app instance and the senders are sure.
	Resolve(ctx context.Context, dst []*Registration, subs []Subscription) ([]*Registration, error)
	// Subscriptions lists the subscriptions of a registration, by sender ID and name of the topic.
	Subscriptions(ctx context.Context, r *Registration) ([]Subscription, error)
	// TopicNames returns at most max names of a project's topics, in order, after a name.
	TopicNames(ctx context.Context, sender, after string, max int) ([]string, error)
}
