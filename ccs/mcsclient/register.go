package mcsclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Registration describes the registration that a token is for. With an InstanceID the token is an
// Instance ID token, without one it is a classic registration (DEV 3.2).
type Registration struct {
	App        string   // extension id, package, or product name
	Subtype    string   // X-subtype, "" for none
	Senders    []string // sender ids; for an Instance ID the one authorised entity
	InstanceID string   // appid
	Scope      string   // default "GCM"; Instance ID only
}

// all is the sender and scope that mean every token when an Instance ID is removed (DEV 3.3).
const all = "*"

// RegisterError is an answer with Error=, such as INVALID_SENDER (DEV 3.4). The errors of Register
// and Unregister wrap it.
type RegisterError struct {
	Code   string
	Status int // HTTP status
}

// Error returns a text with the code.
func (e *RegisterError) Error() string { return "registration refused: " + e.Code }

// Register asks for the token of r. It posts the form that Chromium posts to baseURL +
// "/c2dm/register3". If hc is nil, it uses http.DefaultClient.
func Register(ctx context.Context, hc *http.Client, baseURL string, id Identity, r Registration) (token string, err error) {
	form := r.form(id)
	form.Set("sender", strings.Join(r.Senders, ","))
	answer, err := post(ctx, hc, baseURL, id, form)
	if err != nil {
		return "", fmt.Errorf("mcsclient: register %s: %w", r.App, err)
	}
	token, ok := strings.CutPrefix(answer, "token=")
	if !ok || token == "" {
		return "", fmt.Errorf("mcsclient: register %s: the answer has no token", r.App)
	}
	return token, nil
}

// Unregister removes the token of r. If r names no sender, it removes the tokens of every sender
// and scope of its Instance ID. A classic registration is removed for all its senders.
func Unregister(ctx context.Context, hc *http.Client, baseURL string, id Identity, r Registration) error {
	want := "deleted=" + r.App
	if r.InstanceID != "" {
		want = "token=" // the value has no meaning (DEV 3.3)
		if len(r.Senders) == 0 {
			r.Senders, r.Scope = []string{all}, all
		}
	}
	form := r.form(id)
	form.Set("delete", "true")
	if r.InstanceID != "" {
		form.Set("sender", strings.Join(r.Senders, ","))
	} else {
		form.Set("gcm_unreg_caller", "false")
	}
	answer, err := post(ctx, hc, baseURL, id, form)
	if err != nil {
		return fmt.Errorf("mcsclient: unregister %s: %w", r.App, err)
	}
	if !strings.HasPrefix(answer, want) {
		return fmt.Errorf("mcsclient: unregister %s: the answer does not confirm it", r.App)
	}
	return nil
}

// Subscribe subscribes an app's registration token to a topic, such as "news" (TOPICS 2.2).
func Subscribe(ctx context.Context, hc *http.Client, baseURL string, id Identity, app, token, topic string) error {
	return relate(ctx, hc, baseURL, id, app, token, topic, false)
}

// Unsubscribe undoes Subscribe. A token that is not subscribed is no error.
func Unsubscribe(ctx context.Context, hc *http.Client, baseURL string, id Identity, app, token, topic string) error {
	return relate(ctx, hc, baseURL, id, app, token, topic, true)
}

func relate(ctx context.Context, hc *http.Client, baseURL string, id Identity, app, token, topic string, leave bool) error {
	address := "/topics/" + topic
	form := url.Values{"app": {app}, "device": {id.String()}, "sender": {token}, "X-gcm.topic": {address}, "X-scope": {address}}
	if leave {
		form.Set("delete", "true")
	}
	answer, err := post(ctx, hc, baseURL, id, form)
	if err == nil && !strings.HasPrefix(answer, "token=") {
		err = errors.New("the answer does not confirm it")
	}
	if err != nil {
		return fmt.Errorf("mcsclient: topic %s: %w", topic, err)
	}
	return nil
}

// form returns the fields that registration and removal have in common.
func (r Registration) form(id Identity) url.Values {
	form := url.Values{"app": {r.App}, "device": {id.String()}}
	if r.Subtype != "" {
		form.Set("X-subtype", r.Subtype)
	}
	if r.InstanceID != "" {
		scope := r.Scope
		if scope == "" {
			scope = "GCM"
		}
		major, _, _ := strings.Cut(browser.Version, ".")
		form.Set("appid", r.InstanceID)
		form.Set("scope", scope)
		form.Set("X-scope", scope)
		form.Set("gmsv", major)
	}
	return form
}

func post(ctx context.Context, hc *http.Client, baseURL string, id Identity, form url.Values) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint(baseURL, "/c2dm/register3"), strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "AidLogin "+id.String()+":"+id.token())
	status, body, err := do(hc, req)
	if err != nil {
		return "", err
	}
	answer := string(body)
	// An error in the body has precedence over the status (DEV 3.4).
	if _, code, ok := strings.Cut(answer, "Error="); ok {
		return "", &RegisterError{Code: strings.TrimSpace(code), Status: status}
	}
	if status != http.StatusOK {
		return "", fmt.Errorf("status %d", status)
	}
	return answer, nil
}
