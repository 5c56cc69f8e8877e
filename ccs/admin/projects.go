package admin

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/openccs/openccs/ccs/oauth"
	"github.com/openccs/openccs/store"
)

// ErrInvalid marks an invalid request, which every server would refuse.
var ErrInvalid = errors.New("invalid request")

// Credentials are the name and key with which an app server logs in. The key is shown only this
// once.
type Credentials struct {
	SenderID string `json:"sender_id"`
	APIKey   string `json:"api_key"`
	KeyID    string `json:"key_id"`
}

// Project is the public view of a project. It contains nothing of its keys' secrets.
type Project struct {
	SenderID string    `json:"sender_id"`
	Name     string    `json:"name"`
	Created  time.Time `json:"created"`
	Keys     []Key     `json:"keys"`
	Limits   Limits    `json:"limits"`
}

// Limits override the server's limits for one project. Zero means no override.
type Limits struct {
	Window         int `json:"window"`
	UpstreamWindow int `json:"upstream_window"`
	PerSecond      int `json:"per_second"`
	ChromePerDay   int `json:"chrome_per_day"`
}

// maxLimit bounds each of Limits, because a window uses memory.
const maxLimit = 1_000_000

// Key is one API key of a project.
type Key struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	// Networks are the only networks from which the key is accepted; none means all.
	Networks []string `json:"networks,omitempty"`
}

// Options are the options of NewProjects. The zero value works.
type Options struct {
	// OnKeyRevoked is called after a sender lost a key, an OAuth client or its access tokens, or
	// all of them with its project. Sessions that logged in with one must end. The default does
	// nothing.
	OnKeyRevoked func(sender string)
	// Issuer revokes the tokens of OAuth clients at once in the server that has it. The default is
	// a new one on the store.
	Issuer *oauth.Issuer
	// Now returns the creation time of new projects and keys. The default is time.Now.
	Now func() time.Time
}

// Store is the part of a store that Projects needs.
type Store interface {
	store.Projects
	store.OAuth
	store.Secrets
	store.Apps
	store.Channels
}

// Projects makes and changes projects in a store.
type Projects struct {
	store Store
	o     Options
}

// NewProjects returns Projects that change s.
func NewProjects(s Store, o Options) *Projects {
	if o.OnKeyRevoked == nil {
		o.OnKeyRevoked = func(string) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Projects{store: s, o: o}
}

// Create makes a project with one key. An empty sender ID means a random one of 12 digits, as in
// Google's project numbers. A used sender ID gives store.ErrExists.
func (p *Projects) Create(ctx context.Context, name, sender string) (*Credentials, error) {
	if sender != "" {
		if err := checkSender(sender); err != nil {
			return nil, err
		}
		return p.create(ctx, name, sender)
	}
	for {
		random, err := newSender()
		if err != nil {
			return nil, err
		}
		c, err := p.create(ctx, name, random)
		if errors.Is(err, store.ErrExists) && ctx.Err() == nil {
			continue
		}
		return c, err
	}
}

func (p *Projects) create(ctx context.Context, name, sender string) (*Credentials, error) {
	c, made := p.newProject(name, sender)
	if err := p.store.CreateProject(ctx, made); err != nil {
		return nil, fmt.Errorf("create project %s: %w", sender, err)
	}
	return c, nil
}

// newProject returns a new project with one key. It does not store it.
func (p *Projects) newProject(name, sender string) (*Credentials, *store.Project) {
	now := p.o.Now()
	c, key := newKey(sender, "", now)
	return c, &store.Project{Sender: sender, Name: name, Created: now, Keys: []store.APIKey{key}}
}

// CreateFirst does the same as Create for the store's first project, with a random sender ID. It
// returns store.ErrExists if the store has or had a project. It calls before with the credentials
// before the store has them.
func (p *Projects) CreateFirst(ctx context.Context, name string, before func(*Credentials) error) (*Credentials, error) {
	sender, err := newSender()
	if err != nil {
		return nil, err
	}
	c, made := p.newProject(name, sender)
	if err := before(c); err != nil {
		return nil, err
	}
	if err := p.store.CreateFirstProject(ctx, made); err != nil {
		return nil, fmt.Errorf("create project %s: %w", sender, err)
	}
	return c, nil
}

// List returns all projects, sorted by sender ID.
func (p *Projects) List(ctx context.Context) ([]Project, error) {
	stored, err := p.store.Projects(ctx)
	if err != nil {
		return nil, fmt.Errorf("list projects: %w", err)
	}
	list := make([]Project, 0, len(stored))
	for _, s := range stored {
		shown := Project{SenderID: s.Sender, Name: s.Name, Created: s.Created, Keys: []Key{}, Limits: Limits(s.Limits)}
		for _, k := range s.Keys {
			shown.Keys = append(shown.Keys, Key{ID: k.ID, Name: k.Name, Created: k.Created, Networks: texts(k.Networks)})
		}
		list = append(list, shown)
	}
	slices.SortFunc(list, func(a, b Project) int {
		return cmp.Or(cmp.Compare(len(a.SenderID), len(b.SenderID)), strings.Compare(a.SenderID, b.SenderID))
	})
	return list, nil
}

// AddKey adds a key to a project.
func (p *Projects) AddKey(ctx context.Context, sender, name string) (*Credentials, error) {
	c, key := newKey(sender, name, p.o.Now())
	err := p.store.UpdateProject(ctx, sender, func(s *store.Project) error {
		s.Keys = append(s.Keys, key)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("add a key to project %s: %w", sender, err)
	}
	return c, nil
}

// SetLimits changes the limits of a project. Open connections keep their windows.
func (p *Projects) SetLimits(ctx context.Context, sender string, l Limits) error {
	for _, n := range [...]int{l.Window, l.UpstreamWindow, l.PerSecond, l.ChromePerDay} {
		if n < 0 || n > maxLimit {
			return fmt.Errorf("%w: limit %d: use 0 (none of its own) to %d", ErrInvalid, n, maxLimit)
		}
	}
	err := p.store.UpdateProject(ctx, sender, func(s *store.Project) error {
		s.Limits = store.Limits(l)
		return nil
	})
	if err != nil {
		return fmt.Errorf("limit project %s: %w", sender, err)
	}
	return nil
}

// RevokeKey removes a key from a project, by its ID. It returns store.ErrNotFound if there is no
// such project or key.
func (p *Projects) RevokeKey(ctx context.Context, sender, keyID string) error {
	if err := checkKeyID(keyID); err != nil {
		return err
	}
	err := p.store.UpdateProject(ctx, sender, func(s *store.Project) error {
		kept := slices.DeleteFunc(slices.Clone(s.Keys), func(k store.APIKey) bool { return k.ID == keyID })
		if len(kept) == len(s.Keys) {
			return fmt.Errorf("key: %w", store.ErrNotFound)
		}
		s.Keys = kept
		return nil
	})
	if err != nil {
		return fmt.Errorf("revoke key %s of project %s: %w", keyID, sender, err)
	}
	p.o.OnKeyRevoked(sender)
	return nil
}

// maxNetworks bounds the networks of a key.
const maxNetworks = 100

// SetKeyNetworks makes a key valid from some networks only, or from all if there are none. A
// network may be an address. Open connections stay. It returns store.ErrNotFound if there is no
// such project or key.
func (p *Projects) SetKeyNetworks(ctx context.Context, sender, keyID string, networks []string) error {
	if err := checkKeyID(keyID); err != nil {
		return err
	}
	parsed, err := parseNetworks(networks)
	if err != nil {
		return err
	}
	err = p.store.UpdateProject(ctx, sender, func(s *store.Project) error {
		i := slices.IndexFunc(s.Keys, func(k store.APIKey) bool { return k.ID == keyID })
		if i < 0 {
			return fmt.Errorf("key: %w", store.ErrNotFound)
		}
		s.Keys[i].Networks = parsed
		return nil
	})
	if err != nil {
		return fmt.Errorf("set the networks of key %s of project %s: %w", keyID, sender, err)
	}
	return nil
}

func parseNetworks(texts []string) ([]netip.Prefix, error) {
	if len(texts) > maxNetworks {
		return nil, fmt.Errorf("%w: %d networks: use at most %d", ErrInvalid, len(texts), maxNetworks)
	}
	var all []netip.Prefix
	for _, text := range texts {
		network, err := netip.ParsePrefix(text)
		if address, bad := netip.ParseAddr(text); bad == nil {
			network, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: network %q: use one such as 192.0.2.0/24, or an address", ErrInvalid, text)
		}
		all = append(all, network.Masked())
	}
	return all, nil
}

func texts(networks []netip.Prefix) (all []string) {
	for _, n := range networks {
		all = append(all, n.String())
	}
	return all
}

// Delete removes a project and all of its keys.
func (p *Projects) Delete(ctx context.Context, sender string) error {
	if err := p.store.DeleteProject(ctx, sender); err != nil {
		return fmt.Errorf("delete project %s: %w", sender, err)
	}
	p.o.OnKeyRevoked(sender)
	return nil
}

// checkSender enforces the rule of store.Project: a positive number of at most 18 digits.
func checkSender(sender string) error {
	if len(sender) <= 18 && sender[0] != '0' && strings.Trim(sender, "0123456789") == "" {
		return nil
	}
	return fmt.Errorf("%w: sender ID %q: use 1 to 18 digits, the first of them not 0", ErrInvalid, sender)
}

// maxKeyID is the maximum length of a key ID. A longer string may be the key.
const maxKeyID = 16

// checkKeyID refuses a string that may be a key instead of its ID, before it gets into a path or
// an error.
func checkKeyID(id string) error {
	if len(id) <= maxKeyID {
		return nil
	}
	return fmt.Errorf("%w: …%s is not the ID of a key: the list of projects shows the IDs", ErrInvalid, id[len(id)-4:])
}

// newSender returns a random number of 12 digits.
func newSender() (string, error) {
	const first, count = 100_000_000_000, 900_000_000_000
	n, err := rand.Int(rand.Reader, big.NewInt(count))
	if err != nil {
		return "", err
	}
	return n.Add(n, big.NewInt(first)).String(), nil
}

// newKey makes a key in the form of Google's, "AIza" and 35 characters, and the record that the
// store keeps of it.
func newKey(sender, name string, now time.Time) (*Credentials, store.APIKey) {
	var secret [27]byte
	rand.Read(secret[:]) // never fails
	var id [4]byte
	rand.Read(id[:])
	c := &Credentials{
		SenderID: sender,
		APIKey:   "AIza" + base64.RawURLEncoding.EncodeToString(secret[:])[:35],
		KeyID:    hex.EncodeToString(id[:]),
	}
	return c, store.APIKey{ID: c.KeyID, Name: name, Hash: store.HashKey(c.APIKey), Created: now}
}
