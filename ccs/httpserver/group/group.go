package group

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/store"
)

// Groups manages device groups; ccs.Router implements it.
type Groups interface {
	CreateGroup(ctx context.Context, sender ccs.SenderID, name string, tokens []string) (key string, err error)
	AddToGroup(ctx context.Context, sender ccs.SenderID, key, name string, tokens []string) error
	RemoveFromGroup(ctx context.Context, sender ccs.SenderID, key, name string, tokens []string) error
	GroupKey(ctx context.Context, sender ccs.SenderID, name string) (string, error)
}

const (
	maxBody   = 256 << 10 // a thousand tokens are 160 KiB
	maxTokens = 1000      // of a request; a group has far fewer
)

type door struct {
	groups Groups
	auth   *httpserver.Auth
}

// Routes returns the calls of the door (CCS 6.1).
func Routes(g Groups, auth *httpserver.Auth) []httpserver.Route {
	d := &door{groups: g, auth: auth}
	var routes []httpserver.Route
	for _, path := range []string{"/gcm/notification", "/fcm/notification"} {
		routes = append(routes,
			httpserver.Route{Pattern: "POST " + path, Door: "group", Call: d.authenticated(d.change)},
			httpserver.Route{Pattern: "GET " + path, Door: "group", Call: d.authenticated(d.find)})
	}
	return routes
}

// authenticated returns a call that needs a sender. project_id must be there, and be the sender of
// the credential (TOPICS 4.1).
func (d *door) authenticated(call func(*http.Request, ccs.SenderID) httpserver.Answer) func(*http.Request) httpserver.Answer {
	return func(r *http.Request) httpserver.Answer {
		c := httpserver.CredentialOf(r)
		who, err := d.auth.Check(r.Context(), c)
		if err == nil && c.Sender != who.Sender {
			err = ccs.ErrUnauthorized
		}
		if err != nil {
			return httpserver.AuthJSON(err)
		}
		a := call(r, who.Sender)
		a.Sender = string(who.Sender)
		return a
	}
}

// request is the body of a change (CCS 6.8).
type request struct {
	Operation string   `json:"operation"`
	Name      string   `json:"notification_key_name"`
	Key       string   `json:"notification_key"`
	Tokens    []string `json:"registration_ids"`
}

// change answers create, add and remove.
func (d *door) change(r *http.Request, sender ccs.SenderID) httpserver.Answer {
	body, err := httpserver.ReadSenderBody(r, maxBody)
	if err != nil {
		return httpserver.BodyAnswer(err)
	}
	var in request
	if err := json.Unmarshal(body, &in); err != nil {
		return refused("invalid JSON")
	}
	switch {
	case len(in.Tokens) == 0:
		return refused(ccs.ErrNoMembers.Error())
	case len(in.Tokens) > maxTokens:
		return refused(ccs.ErrTooManyMembers.Error())
	}
	key := in.Key
	switch in.Operation {
	case "create":
		key, err = d.groups.CreateGroup(r.Context(), sender, in.Name, in.Tokens)
	case "add":
		err = d.groups.AddToGroup(r.Context(), sender, in.Key, in.Name, in.Tokens)
	case "remove":
		err = d.groups.RemoveFromGroup(r.Context(), sender, in.Key, in.Name, in.Tokens)
	default:
		return refused("operation is not valid")
	}
	return answer(key, err)
}

// find answers the request for the key of a name.
func (d *door) find(r *http.Request, sender ccs.SenderID) httpserver.Answer {
	key, err := d.groups.GroupKey(r.Context(), sender, r.URL.Query().Get("notification_key_name"))
	return answer(key, err)
}

// answer returns the key, or the word for an error.
func answer(key string, err error) httpserver.Answer {
	if err == nil {
		return httpserver.JSON(http.StatusOK, struct {
			Key string `json:"notification_key"`
		}{key})
	}
	for _, known := range []error{
		ccs.ErrGroupExists, ccs.ErrGroupNotFound, ccs.ErrGroupName, ccs.ErrNoMembers, ccs.ErrTooManyMembers, ccs.ErrBadGroupName,
	} {
		if errors.Is(err, known) {
			return refused(known.Error())
		}
	}
	a := httpserver.TryLater()
	a.Outcome = "unavailable"
	if !store.Unavailable(err) {
		a.Status, a.Outcome = http.StatusInternalServerError, "internal"
	}
	a.Err = err
	return a
}

func refused(text string) httpserver.Answer {
	a := httpserver.JSON(http.StatusBadRequest, httpserver.ErrorBody{Error: text})
	a.Outcome = text
	return a
}
