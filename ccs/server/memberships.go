package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/store"
)

// Memberships shows and changes the topics and device groups of projects, for commands.
// NewMemberships returns one on a store; MembershipsOf asks a running server.
type Memberships interface {
	// Topics lists the topics of a project and the topic messages in progress.
	Topics(ctx context.Context, sender string) (*TopicList, error)
	// Subscribers lists at most max subscribers of a topic.
	Subscribers(ctx context.Context, sender, topic string, max int) ([]Subscriber, error)
	// ChangeTopic subscribes registrations to a topic, or unsubscribes them if leave is set.
	ChangeTopic(ctx context.Context, sender, topic string, leave bool, tokens []string) ([]Changed, error)
	// Groups lists the device groups of a project.
	Groups(ctx context.Context, sender string) ([]Group, error)
	// ChangeGroup carries out "create", "add" or "remove" and returns the group, whose Members are
	// empty after the last one was removed.
	ChangeGroup(ctx context.Context, sender, name, operation string, tokens []string) (*Group, error)
}

// TopicList is what a project has of topics.
type TopicList struct {
	Topics     []Topic  `json:"topics"`
	InProgress []Fanout `json:"in_progress"`
}

// Topic is a topic with its number of subscribers.
type Topic struct {
	Name        string `json:"topic"`
	Subscribers int    `json:"subscribers"`
}

// Fanout is a topic message that is being copied.
type Fanout struct {
	ID       uint64    `json:"message_id"`
	Accepted time.Time `json:"accepted"`
	Copied   int       `json:"copied"`
	Dropped  int       `json:"dropped"`
}

// Subscriber is a subscriber of a topic.
type Subscriber struct {
	Token string    `json:"token"`
	Since time.Time `json:"since"`
}

// Changed is what became of a token.
type Changed struct {
	Token string `json:"token"`
	Error string `json:"error,omitempty"`
}

// Group is a device group.
type Group struct {
	Name    string   `json:"name"`
	Key     string   `json:"notification_key"`
	Members []string `json:"members"`
}

// listPage is the number of records that are read from the store at a time.
const listPage = 1000

// memberships is Memberships on a store.
type memberships struct {
	router *ccs.Router
	store  store.Store
}

// NewMemberships returns Memberships on a store that no server uses.
func NewMemberships(ctx context.Context, st store.Store) (Memberships, error) {
	r, err := ccs.New(ctx, st, ccs.Options{})
	if err != nil {
		return nil, err
	}
	return &memberships{r, st}, nil
}

func (m *memberships) Topics(ctx context.Context, sender string) (*TopicList, error) {
	list := &TopicList{Topics: []Topic{}, InProgress: []Fanout{}}
	for after := ""; ; {
		names, err := m.store.TopicNames(ctx, sender, after, listPage)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			t := Topic{Name: name}
			err := m.each(ctx, store.Topic{Sender: sender, Name: name}, func(store.Subscription) bool { t.Subscribers++; return true })
			if err != nil {
				return nil, err
			}
			list.Topics = append(list.Topics, t)
		}
		if len(names) < listPage {
			break
		}
		after = names[len(names)-1]
	}
	all, err := m.store.Fanouts(ctx, sender)
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		list.InProgress = append(list.InProgress, Fanout{f.ID, f.Accepted, f.Copied, f.Dropped})
	}
	return list, nil
}

// each calls fn for each subscription to a topic until fn returns false.
func (m *memberships) each(ctx context.Context, t store.Topic, fn func(store.Subscription) bool) error {
	for after := (store.Place{}); ; {
		page, err := m.store.Subscribers(ctx, t, after, listPage)
		if err != nil {
			return err
		}
		for _, sub := range page {
			if !fn(sub) {
				return nil
			}
		}
		if len(page) < listPage {
			return nil
		}
		after = page[len(page)-1].Place
	}
}

func (m *memberships) Subscribers(ctx context.Context, sender, topic string, max int) ([]Subscriber, error) {
	all := []Subscriber{}
	err := m.each(ctx, store.Topic{Sender: sender, Name: topic}, func(sub store.Subscription) bool {
		if len(all) == max {
			return false
		}
		all = append(all, Subscriber{sub.Token, sub.Since})
		return true
	})
	return all, err
}

func (m *memberships) ChangeTopic(ctx context.Context, sender, topic string, leave bool, tokens []string) ([]Changed, error) {
	change := m.router.Subscribe
	if leave {
		change = m.router.Unsubscribe
	}
	errs, err := change(ctx, ccs.SenderID(sender), topic, tokens)
	if err != nil {
		return nil, commandError(err)
	}
	all := make([]Changed, len(tokens))
	for i, token := range tokens {
		all[i].Token = token
		var refusal *ccs.Refusal
		switch err := errs[i]; {
		case err == nil:
		case errors.As(err, &refusal):
			all[i].Error = refusal.Reason.String()
		default:
			all[i].Error = err.Error()
		}
	}
	return all, nil
}

func (m *memberships) Groups(ctx context.Context, sender string) ([]Group, error) {
	all := []Group{}
	for after := (store.GroupID{}); ; {
		page, err := m.store.ListGroups(ctx, sender, after, listPage)
		if err != nil {
			return nil, err
		}
		for _, g := range page {
			all = append(all, groupOf(g))
		}
		if len(page) < listPage {
			slices.SortFunc(all, func(a, b Group) int { return strings.Compare(a.Name, b.Name) })
			return all, nil
		}
		after = page[len(page)-1].ID()
	}
}

func (m *memberships) ChangeGroup(ctx context.Context, sender, name, operation string, tokens []string) (*Group, error) {
	id := ccs.SenderID(sender)
	var key string
	var err error
	if operation == "create" {
		key, err = m.router.CreateGroup(ctx, id, name, tokens)
	} else if key, err = m.router.GroupKey(ctx, id, name); err == nil {
		switch operation {
		case "add":
			err = m.router.AddToGroup(ctx, id, key, name, tokens)
		case "remove":
			err = m.router.RemoveFromGroup(ctx, id, key, name, tokens)
		default:
			err = fmt.Errorf("%w: operation %q", admin.ErrInvalid, operation)
		}
	}
	if err != nil {
		return nil, commandError(err)
	}
	g, err := m.store.Group(ctx, store.GroupIDOf(sender, name))
	if errors.Is(err, store.ErrNotFound) {
		return &Group{name, key, []string{}}, nil
	}
	if err != nil {
		return nil, err
	}
	out := groupOf(g)
	return &out, nil
}

func groupOf(g *store.Group) Group {
	out := Group{Name: g.Name, Key: g.Key, Members: []string{}}
	for _, member := range g.Members {
		out.Members = append(out.Members, member.Token)
	}
	return out
}

// commandError returns an error that a command understands.
func commandError(err error) error {
	switch {
	case errors.Is(err, ccs.ErrGroupNotFound):
		return fmt.Errorf("group: %w", store.ErrNotFound)
	case errors.Is(err, ccs.ErrGroupExists):
		return fmt.Errorf("group: %w", store.ErrExists)
	}
	for _, invalid := range []error{ccs.ErrInvalidTopic, ccs.ErrNoMembers, ccs.ErrTooManyMembers, ccs.ErrBadGroupName, ccs.ErrGroupName} {
		if errors.Is(err, invalid) {
			return fmt.Errorf("%w: %w", admin.ErrInvalid, err)
		}
	}
	return err
}

// tokensRequest names registrations.
type tokensRequest struct {
	Tokens []string `json:"tokens"`
}

// membershipRoutes adds the routes of Memberships to mux.
func membershipRoutes(mux *http.ServeMux, m Memberships) {
	const project = "/memberships/{sender}"
	mux.Handle("GET "+project+"/topics", admin.Handler(func(_ http.ResponseWriter, r *http.Request) (any, error) {
		return m.Topics(r.Context(), r.PathValue("sender"))
	}))
	mux.Handle("GET "+project+"/topics/{topic}", admin.Handler(func(_ http.ResponseWriter, r *http.Request) (any, error) {
		max, err := strconv.Atoi(cmp.Or(r.URL.Query().Get("max"), strconv.Itoa(listPage)))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", admin.ErrInvalid, err)
		}
		return m.Subscribers(r.Context(), r.PathValue("sender"), r.PathValue("topic"), max)
	}))
	mux.Handle("POST "+project+"/topics/{topic}/{operation}", admin.Handler(func(w http.ResponseWriter, r *http.Request) (any, error) {
		var in tokensRequest
		if err := admin.Decode(w, r, &in); err != nil {
			return nil, err
		}
		return m.ChangeTopic(r.Context(), r.PathValue("sender"), r.PathValue("topic"), r.PathValue("operation") == "remove", in.Tokens)
	}))
	mux.Handle("GET "+project+"/groups", admin.Handler(func(_ http.ResponseWriter, r *http.Request) (any, error) {
		return m.Groups(r.Context(), r.PathValue("sender"))
	}))
	mux.Handle("POST "+project+"/groups/{name}/{operation}", admin.Handler(func(w http.ResponseWriter, r *http.Request) (any, error) {
		var in tokensRequest
		if err := admin.Decode(w, r, &in); err != nil {
			return nil, err
		}
		return m.ChangeGroup(r.Context(), r.PathValue("sender"), r.PathValue("name"), r.PathValue("operation"), in.Tokens)
	}))
}

// remoteMemberships is Memberships of a running server.
type remoteMemberships struct{ c *admin.Client }

// MembershipsOf returns the Memberships of a running server.
func MembershipsOf(c *admin.Client) Memberships { return remoteMemberships{c} }

func membershipPath(parts ...string) string {
	path := "/memberships"
	for _, p := range parts {
		path += "/" + url.PathEscape(p)
	}
	return path
}

func (m remoteMemberships) Topics(ctx context.Context, sender string) (*TopicList, error) {
	var out TopicList
	return &out, m.c.Do(ctx, http.MethodGet, membershipPath(sender, "topics"), nil, &out)
}

func (m remoteMemberships) Subscribers(ctx context.Context, sender, topic string, max int) (out []Subscriber, err error) {
	return out, m.c.Do(ctx, http.MethodGet, membershipPath(sender, "topics", topic)+"?max="+strconv.Itoa(max), nil, &out)
}

// commandTokens is the number of tokens of one request of a command.
const commandTokens = 100

func (m remoteMemberships) ChangeTopic(ctx context.Context, sender, topic string, leave bool, tokens []string) (all []Changed, err error) {
	operation := "add"
	if leave {
		operation = "remove"
	}
	for some := range slices.Chunk(tokens, commandTokens) {
		var out []Changed
		err := m.c.Do(ctx, http.MethodPost, membershipPath(sender, "topics", topic, operation), tokensRequest{some}, &out)
		if err != nil {
			return all, err
		}
		all = append(all, out...)
	}
	return all, nil
}

func (m remoteMemberships) Groups(ctx context.Context, sender string) (out []Group, err error) {
	return out, m.c.Do(ctx, http.MethodGet, membershipPath(sender, "groups"), nil, &out)
}

func (m remoteMemberships) ChangeGroup(ctx context.Context, sender, name, operation string, tokens []string) (*Group, error) {
	var out Group
	return &out, m.c.Do(ctx, http.MethodPost, membershipPath(sender, "groups", name, operation), tokensRequest{tokens}, &out)
}
