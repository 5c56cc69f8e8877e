package chrome

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/ccs/oauth"
)

// maxBody bounds a request. A payload has 256 bytes at most.
const maxBody = 64 << 10

// Router takes messages and registers instances; ccs.Router implements it.
type Router interface {
	SendChannel(ctx context.Context, from ccs.Authorization, m ccs.ChannelMessage) *ccs.Refusal
	Authenticate(ctx context.Context, id, token uint64) error
	DeviceOfToken(ctx context.Context, token, app string) (ccs.DeviceID, error)
	RegisterChannel(ctx context.Context, device ccs.DeviceID, user, app string, network netip.Prefix) (channelID string, err error)
	UnregisterChannel(ctx context.Context, device ccs.DeviceID, user, app string) error
}

// Users checks the access tokens of users; oauth.Issuer implements it.
type Users interface {
	// CheckUser returns an oauth.Refusal for a token that is not good.
	CheckUser(ctx context.Context, token string, now time.Time) (oauth.Claims, error)
}

// Options are the options of Routes. The zero value works.
type Options struct {
	// SuccessStatus is the status of an accepted message: 204 without a body, or 200 with {}.
	// Default 204 (CCS 9 no. 18).
	SuccessStatus int
	// AuthStatus is the status for an access token that is not good: 401, or 403 for a client that
	// refreshes its token only then (CCS 7.4). Default 401.
	AuthStatus int
	// Network returns the network by which new devices are counted for an address, or zero for one
	// that is exempt. Default zero for all.
	Network func(remoteAddr string) netip.Prefix
	Now     func() time.Time // default time.Now
}

type door struct {
	router Router
	auth   *httpserver.Auth
	users  Users
	o      Options
}

// Routes returns the calls of the door.
func Routes(r Router, auth *httpserver.Auth, users Users, o Options) []httpserver.Route {
	if o.SuccessStatus == 0 {
		o.SuccessStatus = http.StatusNoContent
	}
	if o.AuthStatus == 0 {
		o.AuthStatus = http.StatusUnauthorized
	}
	if o.Network == nil {
		o.Network = func(string) netip.Prefix { return netip.Prefix{} }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	d := &door{router: r, auth: auth, users: users, o: o}
	routes := []httpserver.Route{
		{Pattern: "POST /chromewebstore/v1.1/notifications", Call: d.send},
		{Pattern: "POST /gcm_for_chrome/v1/messages", Call: d.send},
	}
	for _, revision := range []string{"/chromewebstore/v1.1", "/gcm_for_chrome/v1"} {
		routes = append(routes,
			httpserver.Route{Pattern: "GET " + revision + "/channels/id", Call: d.id},
			httpserver.Route{Pattern: "POST " + revision + "/channels", Call: d.register})
	}
	for i := range routes {
		routes[i].Door = "chrome"
	}
	return routes
}

// send answers a send request (CCS 7.2). The token is checked first (CCS 7.4).
func (d *door) send(r *http.Request) httpserver.Answer {
	c, given := credentialOf(r)
	if !given {
		return internalError.answer() // as documented for a missing access token
	}
	who, err := d.auth.Check(r.Context(), c)
	switch {
	case errors.Is(err, httpserver.ErrThrottled):
		return backendError.answer()
	case errors.Is(err, ccs.ErrUnauthorized), err == nil && !oauth.HasScope(who.Scope, oauth.ScopeChrome, oauth.ScopeWebStore):
		return d.unauthorized()
	case err != nil:
		return failed(err)
	}
	a := d.sendAs(r, who)
	a.Sender = string(who.Sender)
	return a
}

func (d *door) sendAs(r *http.Request, who ccs.Authorization) httpserver.Answer {
	body, err := httpserver.ReadSenderBody(r, maxBody)
	if err != nil {
		return bodyAnswer(err)
	}
	var m ccs.ChannelMessage
	if body = bytes.TrimSpace(body); len(body) > 0 {
		m, err = parseMessage(body)
	} else {
		m, err = queryMessage(r.URL.Query())
	}
	if err != nil {
		return refuse(&ccs.Refusal{Reason: ccs.InvalidMessage})
	}
	if refusal := d.router.SendChannel(r.Context(), who, m); refusal != nil {
		return refuse(refusal)
	}
	if d.o.SuccessStatus == http.StatusNoContent {
		return httpserver.Answer{Status: http.StatusNoContent}
	}
	return httpserver.Answer{Status: d.o.SuccessStatus, ContentType: "application/json; charset=UTF-8", Body: []byte("{}")}
}

// credentialOf reads the access token of a request: from the Authorization header with the scheme
// Bearer or OAuth, or from the query string (CCS 7.2). given is false if the request shows no
// credential at all.
func credentialOf(r *http.Request) (c ccs.Credential, given bool) {
	c = httpserver.CredentialOf(r)
	c.Key, c.Sender = "", "" // API keys are for other doors
	if c.Token == "" {
		c.Token = r.URL.Query().Get("access_token")
	}
	return c, c.Token != "" || strings.TrimSpace(r.Header.Get("Authorization")) != ""
}

func (d *door) unauthorized() httpserver.Answer {
	f := invalidToken
	f.status = d.o.AuthStatus
	return challenge(f)
}

// challenge returns the answer to a bad or missing token (RFC 6750 §3).
func challenge(f fault) httpserver.Answer {
	a := f.answer()
	a.Header = http.Header{"Www-Authenticate": {"Bearer"}}
	return a
}

// id answers with the user's part of a channel ID (CCS 7.5).
func (d *door) id(r *http.Request) httpserver.Answer {
	c, _ := credentialOf(r)
	user, err := d.users.CheckUser(r.Context(), c.Token, d.o.Now())
	var refused oauth.Refusal
	switch {
	case errors.As(err, &refused), err == nil && !oauth.HasScope(user.Scope, oauth.ScopeChromeReadonly, oauth.ScopeWebStoreReadonly):
		return challenge(invalidToken)
	case err != nil:
		return failed(err)
	}
	a := ok(struct {
		ID string `json:"id"`
	}{user.User})
	a.Sender = user.Sender
	return a
}

// register makes a device an instance of an app, or ends that (CCS 7.5).
func (d *door) register(r *http.Request) httpserver.Answer {
	body, err := httpserver.ReadBody(r, maxBody)
	if err != nil {
		return bodyAnswer(err)
	}
	f, err := url.ParseQuery(string(body))
	if err != nil {
		return parseError.answer()
	}
	device, err := d.device(r, f)
	switch {
	case errors.Is(err, ccs.ErrUnknownDevice):
		return challenge(invalidToken)
	case err != nil:
		return failed(err)
	case f.Get("user") == "":
		return notSignedIn.answer()
	}
	if deletion := f.Get("delete"); deletion == "true" || deletion == "1" {
		if err := d.router.UnregisterChannel(r.Context(), device, f.Get("user"), f.Get("app")); err != nil {
			return registerFailed(err)
		}
		a := ok(channelAnswer{f.Get("user") + "/" + f.Get("app")})
		a.Outcome = "deleted"
		return a
	}
	id, err := d.router.RegisterChannel(r.Context(), device, f.Get("user"), f.Get("app"), d.o.Network(r.RemoteAddr))
	if err != nil {
		return registerFailed(err)
	}
	return ok(channelAnswer{id})
}

type channelAnswer struct {
	ChannelID string `json:"channelId"`
}

// device authenticates the device of a request: by its own credential, or by a registration token
// of the app, which is what an extension knows.
func (d *door) device(r *http.Request, f url.Values) (ccs.DeviceID, error) {
	if id, token, ok := httpserver.ParseAidLogin(r.Header.Get("Authorization")); ok {
		return ccs.DeviceID(id), d.router.Authenticate(r.Context(), id, token)
	}
	if token := f.Get("token"); token != "" {
		return d.router.DeviceOfToken(r.Context(), token, f.Get("app"))
	}
	return 0, ccs.ErrUnknownDevice
}

// registerFailed returns the answer to an error of RegisterChannel or UnregisterChannel.
func registerFailed(err error) httpserver.Answer {
	switch {
	case errors.Is(err, ccs.ErrInvalidChannel):
		return invalidChannel.answer()
	case errors.Is(err, ccs.ErrNoOwner):
		return notOwner.answer()
	case errors.Is(err, ccs.ErrTooManyChannels):
		return tooManyChannel.answer()
	case errors.Is(err, ccs.ErrTooManyDevices):
		return backendError.answer()
	}
	return failed(err)
}

// bodyAnswer returns the answer to a body that cannot be read.
func bodyAnswer(err error) httpserver.Answer {
	switch {
	case errors.Is(err, httpserver.ErrTooLarge):
		return tooLarge.answer()
	case errors.Is(err, httpserver.ErrEncoding):
		return unknownCoding.answer()
	case errors.Is(err, httpserver.ErrNoRoom):
		return backendError.answer()
	}
	return parseError.answer()
}
