package iid

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/store"
)

// Instances knows registration tokens; ccs.Router implements it.
type Instances interface {
	Instance(ctx context.Context, sender ccs.SenderID, token string, topics bool) (*ccs.Instance, error)
	DeleteInstance(ctx context.Context, sender ccs.SenderID, token string) error
	Subscribe(ctx context.Context, sender ccs.SenderID, topic string, tokens []string) ([]error, error)
	Unsubscribe(ctx context.Context, sender ccs.SenderID, topic string, tokens []string) ([]error, error)
}

// Options are the options of Routes. The zero value works.
type Options struct {
	// Import returns a registration token for an APNs token, to emulate an import. Default: there
	// is no APNs, so every token of an import fails (TOPICS 5).
	Import func(ctx context.Context, sender ccs.SenderID, application, apns string) (token string, err error)
}

const (
	maxTokens = 1000    // of a batch
	maxImport = 100     // APNs tokens
	maxBody   = 1 << 20 // a thousand tokens are 160 KiB
)

type door struct {
	instances Instances
	auth      *httpserver.Auth
	importer  func(ctx context.Context, sender ccs.SenderID, application, apns string) (string, error)
}

// Routes returns the calls of the door (CCS 6.1).
func Routes(i Instances, auth *httpserver.Auth, o Options) []httpserver.Route {
	d := &door{instances: i, auth: auth, importer: o.Import}
	var routes []httpserver.Route
	for pattern, call := range map[string]func(*http.Request, ccs.SenderID) httpserver.Answer{
		"GET /iid/info/{token}":                    d.info,
		"POST /iid/info/{token}":                   d.info,
		"POST /iid/v1/{token}/rel/topics/{name}":   d.relate(i.Subscribe),
		"DELETE /iid/v1/{token}/rel/topics/{name}": d.relate(i.Unsubscribe),
		"POST /iid/v1:batchAdd":                    d.batch(i.Subscribe),
		"POST /iid/v1:batchRemove":                 d.batch(i.Unsubscribe),
		"POST /iid/v1:batchImport":                 d.batchImport,
		"DELETE /v1/web/iid/{token}":               d.remove,
	} {
		routes = append(routes, httpserver.Route{Pattern: pattern, Door: "iid", Call: d.authenticated(call)})
	}
	return routes
}

// authenticated returns a call that needs a sender.
func (d *door) authenticated(call func(*http.Request, ccs.SenderID) httpserver.Answer) func(*http.Request) httpserver.Answer {
	return func(r *http.Request) httpserver.Answer {
		who, err := d.auth.Sender(r)
		if err != nil {
			return httpserver.AuthJSON(err)
		}
		a := call(r, who.Sender)
		a.Sender = string(who.Sender)
		return a
	}
}

// dateLayout is the form of the dates.
const dateLayout = time.DateOnly

type info struct {
	Application string       `json:"application"`
	Entity      string       `json:"authorizedEntity"`
	Platform    ccs.Platform `json:"platform"`
	Attest      string       `json:"attestStatus"`
	Rel         *relations   `json:"rel,omitempty"`
}

type relations struct {
	Topics map[string]added `json:"topics"`
}

type added struct {
	Date string `json:"addDate"`
}

// info answers what is known about a token.
func (d *door) info(r *http.Request, sender ccs.SenderID) httpserver.Answer {
	details := r.URL.Query().Get("details") == "true"
	i, err := d.instances.Instance(r.Context(), sender, r.PathValue("token"), details)
	if err != nil {
		return instanceError(err)
	}
	out := info{Application: i.App, Entity: string(i.Sender), Platform: i.Platform, Attest: "UNKNOWN"}
	for _, sub := range i.Topics {
		if out.Rel == nil {
			out.Rel = &relations{Topics: map[string]added{}}
		}
		out.Rel.Topics[sub.Topic.Name] = added{sub.Since.UTC().Format(dateLayout)}
	}
	return httpserver.JSON(http.StatusOK, out)
}

// instanceError returns the answer to an error about the one token of a call (TOPICS 6).
func instanceError(err error) httpserver.Answer {
	var refusal *ccs.Refusal
	switch {
	case errors.Is(err, ccs.ErrMalformedToken):
		return refused(http.StatusBadRequest, "InvalidToken")
	case !errors.As(err, &refusal):
		return failed(err)
	case refusal.Reason == ccs.WrongSender:
		return refused(http.StatusForbidden, "PERMISSION_DENIED")
	}
	return refused(http.StatusNotFound, "No information found about this instance id.")
}

// remove unregisters a token.
func (d *door) remove(r *http.Request, sender ccs.SenderID) httpserver.Answer {
	if err := d.instances.DeleteInstance(r.Context(), sender, r.PathValue("token")); err != nil {
		return instanceError(err)
	}
	return httpserver.JSON(http.StatusOK, struct{}{})
}

type change func(ctx context.Context, sender ccs.SenderID, topic string, tokens []string) ([]error, error)

const badTopic = "Topic name format is invalid"

// relate returns the call that subscribes or unsubscribes one token.
func (d *door) relate(fn change) func(*http.Request, ccs.SenderID) httpserver.Answer {
	return func(r *http.Request, sender ccs.SenderID) httpserver.Answer {
		token := r.PathValue("token")
		if !ccs.WellFormedToken(token) {
			return refused(http.StatusBadRequest, "InvalidToken")
		}
		errs, err := fn(r.Context(), sender, r.PathValue("name"), []string{token})
		switch {
		case errors.Is(err, ccs.ErrInvalidTopic):
			return refused(http.StatusBadRequest, badTopic)
		case err != nil:
			return failed(err)
		case errs[0] == nil:
			return httpserver.JSON(http.StatusOK, struct{}{})
		}
		code := codeOf(errs[0])
		status := http.StatusBadRequest
		switch code {
		case notFound:
			status = http.StatusNotFound
		case internal:
			status = http.StatusInternalServerError
		}
		return refused(status, code)
	}
}

// The codes of the results of a batch (TOPICS 5).
const (
	notFound        = "NOT_FOUND"
	invalidArgument = "INVALID_ARGUMENT"
	tooManyTopics   = "TOO_MANY_TOPICS"
	internal        = "INTERNAL"
)

func codeOf(err error) string {
	var refusal *ccs.Refusal
	switch {
	case errors.Is(err, ccs.ErrTooManyTopics):
		return tooManyTopics
	case !errors.As(err, &refusal):
		return internal
	case refusal.Reason == ccs.WrongSender:
		return invalidArgument
	case refusal.Reason == ccs.UnknownToken && !ccs.WellFormedToken(refusal.Detail):
		return invalidArgument
	}
	return notFound
}

// result is the result of one token; only an empty object is success.
type result struct {
	Error string `json:"error,omitempty"`
}

// batch returns the call that subscribes or unsubscribes many tokens.
func (d *door) batch(fn change) func(*http.Request, ccs.SenderID) httpserver.Answer {
	return func(r *http.Request, sender ccs.SenderID) httpserver.Answer {
		var in struct {
			To     string   `json:"to"`
			Tokens []string `json:"registration_tokens"`
		}
		if a, ok := decode(r, &in); !ok {
			return a
		}
		name, isTopic := ccs.TopicOf(in.To)
		switch {
		case len(in.Tokens) == 0:
			return refused(http.StatusBadRequest, "MissingIIdToken")
		case len(in.Tokens) > maxTokens:
			return refused(http.StatusBadRequest, "Number of tokens exceeds 1000")
		case !isTopic:
			return refused(http.StatusBadRequest, badTopic)
		}
		errs, err := fn(r.Context(), sender, name, in.Tokens)
		switch {
		case errors.Is(err, ccs.ErrInvalidTopic):
			return refused(http.StatusBadRequest, badTopic)
		case err != nil:
			return failed(err)
		}
		var out struct {
			Results []result `json:"results"`
		}
		for _, err := range errs {
			var one result
			if err != nil {
				one.Error = codeOf(err)
			}
			out.Results = append(out.Results, one)
		}
		return httpserver.JSON(http.StatusOK, out)
	}
}

type imported struct {
	APNS   string `json:"apns_token"`
	Status string `json:"status"`
	Token  string `json:"registration_token,omitempty"`
}

// batchImport answers an import of APNs tokens.
func (d *door) batchImport(r *http.Request, sender ccs.SenderID) httpserver.Answer {
	var in struct {
		Application string   `json:"application"`
		Tokens      []string `json:"apns_tokens"`
	}
	if a, ok := decode(r, &in); !ok {
		return a
	}
	switch {
	case in.Application == "" || len(in.Tokens) == 0:
		return refused(http.StatusBadRequest, invalidArgument)
	case len(in.Tokens) > maxImport:
		return refused(http.StatusBadRequest, "Number of tokens exceeds 100")
	}
	var out struct {
		Results []imported `json:"results"`
	}
	for _, apns := range in.Tokens {
		one := imported{APNS: apns, Status: "Internal Server Error"}
		if d.importer != nil {
			if token, err := d.importer(r.Context(), sender, in.Application, apns); err == nil {
				one.Status, one.Token = "OK", token
			}
		}
		out.Results = append(out.Results, one)
	}
	return httpserver.JSON(http.StatusOK, out)
}

// decode reads the JSON of a request. If that fails it returns the answer.
func decode(r *http.Request, into any) (httpserver.Answer, bool) {
	body, err := httpserver.ReadSenderBody(r, maxBody)
	if err != nil {
		return httpserver.BodyAnswer(err), false
	}
	if err := json.Unmarshal(body, into); err != nil {
		return refused(http.StatusBadRequest, "invalid JSON"), false
	}
	return httpserver.Answer{}, true
}

func refused(status int, text string) httpserver.Answer {
	a := httpserver.JSON(status, httpserver.ErrorBody{Error: text})
	a.Outcome = text
	return a
}

// failed returns the answer to a failure of ours.
func failed(err error) httpserver.Answer {
	a := httpserver.TryLater()
	a.Outcome = "unavailable"
	if !store.Unavailable(err) {
		a.Status, a.Outcome = http.StatusInternalServerError, "internal"
	}
	a.Err = err
	return a
}
