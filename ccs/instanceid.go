package ccs

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/openccs/openccs/store"
)

// Platform is the platform of an app instance, in the words of the Instance ID API (TOPICS 5).
type Platform string

// The platforms.
const (
	PlatformAndroid Platform = "ANDROID"
	PlatformChrome  Platform = "CHROME"
)

// Instance is what the server knows about a registration token (TOPICS 1, 5).
type Instance struct {
	App      string
	Sender   SenderID
	Platform Platform
	Since    time.Time
	Topics   []store.Subscription // of the sender's project, by name; only on demand
}

// ErrMalformedToken says that a text cannot be a registration token.
var ErrMalformedToken = errors.New("not a registration token")

// maxToken is the length of the longest registration token.
const maxToken = 4096

// WellFormedToken reports whether a text may be a registration token.
func WellFormedToken(token string) bool {
	if token == "" || len(token) > maxToken {
		return false
	}
	for i := range len(token) {
		switch c := token[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == ':':
		default:
			return false
		}
	}
	return true
}

// Instance returns what the server knows about a token of a sender's. Its errors are
// ErrMalformedToken, a Refusal (UnknownToken, Unregistered, WrongSender), or one of the store.
func (r *Router) Instance(ctx context.Context, sender SenderID, token string, topics bool) (*Instance, error) {
	reg, err := r.registrationOf(ctx, sender, token)
	if err != nil {
		return nil, err
	}
	i := &Instance{App: reg.App, Sender: sender, Platform: platformOf(reg), Since: reg.Created}
	if !topics {
		return i, nil
	}
	all, err := r.Topics(ctx, reg)
	if err != nil {
		return nil, err
	}
	for _, sub := range all {
		if sub.Topic.Sender == string(sender) {
			i.Topics = append(i.Topics, sub)
		}
	}
	return i, nil
}

// registrationOf looks up a token of a sender's, and follows it to the newest of its slot.
func (r *Router) registrationOf(ctx context.Context, sender SenderID, token string) (*store.Registration, error) {
	if !WellFormedToken(token) {
		return nil, ErrMalformedToken
	}
	regs, errs, err := r.members(ctx, sender, []string{token})
	if err != nil {
		return nil, err
	}
	return regs[0], errs[0]
}

// DeleteInstance unregisters a token of a sender's, with what waits for its app instance unless
// another token of the instance lives. Its errors are those of Instance.
func (r *Router) DeleteInstance(ctx context.Context, sender SenderID, token string) error {
	reg, err := r.registrationOf(ctx, sender, token)
	if err != nil {
		return err
	}
	all, err := r.store.DeviceRegistrations(ctx, reg.Device)
	if err != nil {
		return fmt.Errorf("delete an instance: %w", err)
	}
	var tokens []string
	left := false
	for _, o := range all {
		switch {
		case !o.Unregistered.IsZero() || o.Instance() != reg.Instance():
		case o.Token == reg.Token || o.Canonical == reg.Token:
			tokens = append(tokens, o.Token)
		default:
			left = true
		}
	}
	if err := r.store.Unregister(ctx, r.clock.Now(), tokens...); err != nil {
		return fmt.Errorf("delete an instance: %w", err)
	}
	r.tellUnregistered(all, tokens)
	if left {
		return nil
	}
	if err := r.purge(ctx, reg); err != nil {
		return fmt.Errorf("drop messages of a deleted instance: %w", err)
	}
	return nil
}

// extensionLength is the length of a Chrome extension's ID, whose letters are a to p.
const extensionLength = 32

func platformOf(reg *store.Registration) Platform {
	extension := len(reg.App) == extensionLength && strings.Trim(reg.App, "abcdefghijklmnop") == ""
	if extension || strings.HasPrefix(reg.Subtype, "wp:") || strings.HasPrefix(reg.App, "org.chromium.") {
		return PlatformChrome
	}
	return PlatformAndroid
}

// ImportAPNS returns the registration token of an APNs token, to emulate an import: no message ever
// reaches such a device, but it can be subscribed and sent to (TOPICS 5). The same APNs token of an
// application has the same registration.
func (r *Router) ImportAPNS(ctx context.Context, sender SenderID, application, apns string) (string, error) {
	sum := sha256.Sum256([]byte(application + "\x00" + strings.ToLower(apns)))
	reg, err := r.Register(ctx, store.Registration{
		Device: positive(binary.BigEndian.Uint64(sum[:])), App: application, Senders: []string{string(sender)},
	})
	if err != nil {
		return "", err
	}
	return reg.Token, nil
}
