package xmppserver

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/domains"
	"github.com/openccs/openccs/ccs/internal/admission"
	"github.com/openccs/openccs/store"
)

// credentials are the fields of a login.
type credentials struct {
	mechanism string
	user      string // authcid, with or without a domain
	key       string // API key, access token or security token
	identity  string // authzid, or ""

	sender ccs.SenderID // the sender that user names, or "" until that is known
}

// name returns the user without the domain.
func (cred *credentials) name() string {
	name, _, _ := strings.Cut(cred.user, "@")
	return name
}

// domain returns the domain of the user, or "".
func (cred *credentials) domain() string {
	_, domain, _ := strings.Cut(cred.user, "@")
	return strings.ToLower(domain)
}

// check checks credentials. The peer learns only the condition. The log says which part was wrong,
// because people could not find that out (CCS 10.2 no. 2).
func (c *conn) check(ctx context.Context, cred *credentials) (failure string) {
	if c.srv.throttle.blocked(c.address()) {
		return c.refuse(cred, failTemporary, "too many failed logins from the address")
	}
	// A client that sends no domain has named one when it opened the stream.
	if strings.EqualFold(cmp.Or(cred.domain(), c.from), c.srv.opts.DeviceDomain) {
		return c.checkDevice(ctx, cred)
	}
	return c.checkSender(ctx, cred)
}

// refuse logs why a login is refused. Of the peer's fields it logs only a sender ID: clients mix
// fields up, so any other may be a secret.
func (c *conn) refuse(cred *credentials, condition, reason string, fields ...zap.Field) string {
	if cred.sender != "" {
		fields = append(fields, zap.String("sender", string(cred.sender)))
	}
	c.log.Info("login refused", append(fields, zap.String("reason", reason))...)
	return condition
}

// failedFor refuses a login for an account that is known.
func (c *conn) failedFor(ctx context.Context, cred *credentials, account store.Key, err error) string {
	c.srv.throttle.failed(c.address(), account)
	c.srv.throttle.delay(ctx, account)
	return c.refuse(cred, failNotAuthorized, err.Error())
}

func (c *conn) checkSender(ctx context.Context, cred *credentials) (failure string) {
	sender, err := ccs.ParseSenderID(cred.user)
	if err != nil {
		c.srv.throttle.failed(c.address(), store.Key{})
		return c.refuse(cred, failNotAuthorized, "the user name is no sender ID", zap.Error(err))
	}
	cred.sender = sender
	if strings.Contains(cred.user, "@") && !c.srv.domains[cred.domain()] {
		return c.refuse(cred, failNotAuthorized, "unknown domain in the user name")
	}
	if local, _, _ := strings.Cut(cred.identity, "@"); cred.identity != "" && local != string(sender) {
		return c.refuse(cred, failInvalidAuthzid, "authzid names another sender")
	}
	login := c.srv.router.LoginToken
	if cred.mechanism == mechanismPlain {
		login = c.srv.router.Login
	}
	grant, err := login(ctx, sender, cred.key, admission.Addr(c.tcp.RemoteAddr()))
	switch {
	case errors.Is(err, ccs.ErrUnknownSender), errors.Is(err, ccs.ErrWrongKey), errors.Is(err, ccs.ErrWrongAddress):
		return c.failedFor(ctx, cred, sender.Key(), err)
	case err != nil:
		return c.refuse(cred, failTemporary, "the store cannot answer", zap.Error(err))
	case !admission.LogIn(c.tcp):
		return c.refuse(cred, failTemporary, "too many connections of the address are logged in")
	case !c.srv.enter(sender):
		return c.refuse(cred, failTemporary, "too many connections of the sender", zap.Int("limit", c.srv.opts.MaxPerSender))
	}
	c.sender, c.user, c.domain = sender, string(sender), c.srv.opts.Domain
	// The bound address keeps the two domains that Google's service kept (CCS 1.7).
	if d := cred.domain(); d == domains.GCM || d == domains.FCM {
		c.domain = d
	}
	c.log = c.log.With(zap.String("sender", c.user))
	c.identify(principal{sender: sender, keyID: grant.KeyID})
	c.limits = grant.Limits
	return ""
}

// checkDevice checks the identity that check-in gave a device (DEV 2.4). Every mechanism works,
// because each carries a password.
func (c *conn) checkDevice(ctx context.Context, cred *credentials) (failure string) {
	device, err := ccs.ParseDeviceID(cred.name())
	if err != nil {
		c.srv.throttle.failed(c.address(), store.Key{})
		return c.refuse(cred, failNotAuthorized, "the user name is no android id", zap.Error(err))
	}
	if local, _, _ := strings.Cut(cred.identity, "@"); cred.identity != "" && local != cred.name() {
		return c.refuse(cred, failInvalidAuthzid, "authzid names another device")
	}
	token, err := strconv.ParseUint(cred.key, 10, 64)
	if err != nil {
		err = ccs.ErrUnknownDevice // keeps the token itself out of the log
	} else {
		err = c.srv.router.Authenticate(ctx, uint64(device), token)
	}
	switch {
	case errors.Is(err, ccs.ErrUnknownDevice):
		return c.failedFor(ctx, cred, device.Key(), err)
	case err != nil:
		return c.refuse(cred, failTemporary, "the store cannot answer", zap.Error(err))
	case !admission.LogIn(c.tcp):
		return c.refuse(cred, failTemporary, "too many connections of the address are logged in")
	}
	c.device, c.user, c.domain = device, device.String(), c.srv.opts.DeviceDomain
	c.log = c.log.With(zap.Stringer("device", device))
	return ""
}
