package iid_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/ccs/httpserver/iid"
	"github.com/openccs/openccs/store"
)

const sender = "123456789012"

// instances knows tokens by what their names say.
type instances struct{ calls []string }

func (*instances) Authorize(_ context.Context, c ccs.Credential) (ccs.Authorization, error) {
	if c.Key != "good" && c.Token != "good" {
		return ccs.Authorization{}, ccs.ErrUnauthorized
	}
	return ccs.Authorization{Sender: sender}, nil
}

func errorOf(token string) error {
	switch token {
	case "dead":
		return &ccs.Refusal{Reason: ccs.Unregistered}
	case "foreign":
		return &ccs.Refusal{Reason: ccs.WrongSender, Detail: token}
	case "unknown", "not a token":
		return &ccs.Refusal{Reason: ccs.UnknownToken, Detail: token}
	case "full":
		return ccs.ErrTooManyTopics
	}
	return nil
}

func (i *instances) Instance(_ context.Context, _ ccs.SenderID, token string, topics bool) (*ccs.Instance, error) {
	if !ccs.WellFormedToken(token) {
		return nil, ccs.ErrMalformedToken
	}
	if token == "down" {
		return nil, store.ErrUnavailable
	}
	if err := errorOf(token); err != nil {
		return nil, err
	}
	in := &ccs.Instance{App: "com.example.app", Sender: sender, Platform: ccs.PlatformAndroid}
	if topics && token != "T2" {
		in.Topics = []store.Subscription{{Topic: store.Topic{Sender: sender, Name: "news"}, Since: time.Unix(1438214400, 0)}}
	}
	return in, nil
}

func (i *instances) DeleteInstance(_ context.Context, _ ccs.SenderID, token string) error {
	i.calls = append(i.calls, "delete "+token)
	return errorOf(token)
}

func (i *instances) change(what, topic string, tokens []string) ([]error, error) {
	switch topic {
	case "a b":
		return nil, ccs.ErrInvalidTopic
	case "down":
		return nil, store.ErrUnavailable
	case "broken":
		return nil, errors.New("broken")
	}
	i.calls = append(i.calls, fmt.Sprint(what, " ", topic, " ", tokens))
	errs := make([]error, len(tokens))
	for j, token := range tokens {
		errs[j] = errorOf(token)
	}
	return errs, nil
}

func (i *instances) Subscribe(_ context.Context, _ ccs.SenderID, topic string, tokens []string) ([]error, error) {
	return i.change("add", topic, tokens)
}

func (i *instances) Unsubscribe(_ context.Context, _ ccs.SenderID, topic string, tokens []string) ([]error, error) {
	return i.change("remove", topic, tokens)
}

// TOPICS 5, 6: each call and its errors.
func TestInstanceID(t *testing.T) {
	t.Parallel()
	refusal := func(text string) string { return `{"error":"` + text + `"}` }
	tokens := func(n int) string {
		return `["` + strings.Repeat(`T","`, n-1) + `T"]`
	}
	const known = `{"application":"com.example.app","authorizedEntity":"123456789012","platform":"ANDROID","attestStatus":"UNKNOWN"`
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		answer, call             string
	}{
		{"info", "GET", "/iid/info/T1", "", 200, known + "}", ""},
		{"info with topics", "GET", "/iid/info/T1?details=true", "", 200, known + `,"rel":{"topics":{"news":{"addDate":"2015-07-30"}}}}`, ""},
		{"info without topics", "GET", "/iid/info/T2?details=true", "", 200, known + "}", ""},
		{"info of an unknown token", "GET", "/iid/info/unknown", "", 404, refusal("No information found about this instance id."), ""},
		{"info of a dead token", "GET", "/iid/info/dead", "", 404, refusal("No information found about this instance id."), ""},
		{"info of what is no token", "GET", "/iid/info/not%20a%20token", "", 400, refusal("InvalidToken"), ""},
		{"info of another's token", "GET", "/iid/info/foreign", "", 403, refusal("PERMISSION_DENIED"), ""},
		{"info while the store is away", "GET", "/iid/info/down", "", 503, "try again later", ""},
		{"add one", "POST", "/iid/v1/T1/rel/topics/news", "", 200, "{}", "add news [T1]"},
		{"a percent sign is literal", "POST", "/iid/v1/T1/rel/topics/a%2520b", "", 200, "{}", "add a%20b [T1]"},
		{"remove one", "DELETE", "/iid/v1/T1/rel/topics/news", "", 200, "{}", "remove news [T1]"},
		{"add one to a bad topic", "POST", "/iid/v1/T1/rel/topics/a%20b", "", 400, refusal("Topic name format is invalid"), ""},
		{"add a dead one", "POST", "/iid/v1/dead/rel/topics/news", "", 404, refusal("NOT_FOUND"), "add news [dead]"},
		{"add another's", "POST", "/iid/v1/foreign/rel/topics/news", "", 400, refusal("INVALID_ARGUMENT"), "add news [foreign]"},
		{"add what is no token", "POST", "/iid/v1/not%20a%20token/rel/topics/news", "", 400, refusal("InvalidToken"), ""},
		{"add one too many", "POST", "/iid/v1/full/rel/topics/news", "", 400, refusal("TOO_MANY_TOPICS"), "add news [full]"},
		{"batchAdd", "POST", "/iid/v1:batchAdd", `{"to":"/topics/news","registration_tokens":["T1","dead","foreign","not a token","full"]}`, 200,
			`{"results":[{},{"error":"NOT_FOUND"},{"error":"INVALID_ARGUMENT"},{"error":"INVALID_ARGUMENT"},{"error":"TOO_MANY_TOPICS"}]}`, "add news [T1 dead foreign not a token full]"},
		{"batchRemove", "POST", "/iid/v1:batchRemove", `{"to":"/topics/news","registration_tokens":["T1"]}`, 200, `{"results":[{}]}`, "remove news [T1]"},
		{"a batch without tokens", "POST", "/iid/v1:batchAdd", `{"to":"/topics/news"}`, 400, refusal("MissingIIdToken"), ""},
		{"a batch to no topic", "POST", "/iid/v1:batchAdd", `{"to":"news","registration_tokens":["T1"]}`, 400, refusal("Topic name format is invalid"), ""},
		{"a batch to a bad topic", "POST", "/iid/v1:batchAdd", `{"to":"/topics/a b","registration_tokens":["T1"]}`, 400, refusal("Topic name format is invalid"), ""},
		{"a batch of 1001", "POST", "/iid/v1:batchAdd", `{"to":"/topics/news","registration_tokens":` + tokens(1001) + `}`, 400, refusal("Number of tokens exceeds 1000"), ""},
		{"a batch that is no JSON", "POST", "/iid/v1:batchAdd", `[`, 400, refusal("invalid JSON"), ""},
		{"a batch while the store is away", "POST", "/iid/v1:batchAdd", `{"to":"/topics/down","registration_tokens":["T1"]}`, 503, "try again later", ""},
		{"a batch that fails", "POST", "/iid/v1:batchAdd", `{"to":"/topics/broken","registration_tokens":["T1"]}`, 500, "try again later", ""},
		{"import", "POST", "/iid/v1:batchImport", `{"application":"bundle","sandbox":false,"apns_tokens":["a1","b2"]}`, 200,
			`{"results":[{"apns_token":"a1","status":"Internal Server Error"},{"apns_token":"b2","status":"Internal Server Error"}]}`, ""},
		{"an import of 101", "POST", "/iid/v1:batchImport", `{"application":"bundle","apns_tokens":` + tokens(101) + `}`, 400, refusal("Number of tokens exceeds 100"), ""},
		{"delete", "DELETE", "/v1/web/iid/T1", "", 200, "{}", "delete T1"},
		{"delete a dead one", "DELETE", "/v1/web/iid/dead", "", 404, refusal("No information found about this instance id."), "delete dead"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := &instances{}
			status, body := call(i, iid.Options{}, "key=good", c.method, c.path, c.body)
			assert.Equal(t, c.status, status)
			assert.Equal(t, c.answer, body)
			assert.Equal(t, c.call, strings.Join(i.calls, ";"))
			status, body = call(i, iid.Options{}, "key=bad", c.method, c.path, c.body)
			assert.Equal(t, 401, status)
			assert.Equal(t, refusal("Unauthorized"), body)
		})
	}
}

func TestAnImportCanBeEmulated(t *testing.T) {
	t.Parallel()
	o := iid.Options{Import: func(_ context.Context, _ ccs.SenderID, application, apns string) (string, error) {
		if apns == "bad" {
			return "", errors.New("bad")
		}
		return application + apns, nil
	}}
	_, body := call(&instances{}, o, "Bearer good", "POST", "/iid/v1:batchImport", `{"application":"b","apns_tokens":["a1","bad"]}`)
	assert.Equal(t, `{"results":[{"apns_token":"a1","status":"OK","registration_token":"ba1"},{"apns_token":"bad","status":"Internal Server Error"}]}`, body)
}

func call(i *instances, o iid.Options, authorization, method, path, body string) (status int, answer string) {
	s := httpserver.New(nil, httpserver.Options{Routes: iid.Routes(i, httpserver.NewAuth(i, httpserver.AuthOptions{}), o)})
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", authorization)
	r.Header.Set("access_token_auth", "true")
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	b, _ := io.ReadAll(w.Result().Body)
	return w.Result().StatusCode, string(b)
}
