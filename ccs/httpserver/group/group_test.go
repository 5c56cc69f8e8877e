package group_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/ccs/httpserver/group"
	"github.com/openccs/openccs/store"
)

const sender = "123456789012"

// groups writes down what it is asked for, and returns the errors that names and keys spell.
type groups struct{ calls []string }

func (g *groups) Authorize(_ context.Context, c ccs.Credential) (ccs.Authorization, error) {
	if c.Key != "good" && c.Token != "good" || c.Sender != "" && c.Sender != sender {
		return ccs.Authorization{}, ccs.ErrUnauthorized
	}
	return ccs.Authorization{Sender: sender}, nil
}

var errorsByName = map[string]error{
	"exists": ccs.ErrGroupExists, "unknown": ccs.ErrGroupNotFound, "other": ccs.ErrGroupName, "none": ccs.ErrNoMembers,
	"many": ccs.ErrTooManyMembers, "bad": ccs.ErrBadGroupName, "down": fmt.Errorf("x: %w", store.ErrUnavailable), "broken": errors.New("broken"),
}

func (g *groups) called(words ...any) error {
	g.calls = append(g.calls, fmt.Sprint(words...))
	for _, w := range words {
		if s, ok := w.(string); ok && errorsByName[s] != nil {
			return errorsByName[s]
		}
	}
	return nil
}

func (g *groups) CreateGroup(_ context.Context, s ccs.SenderID, name string, tokens []string) (string, error) {
	return "KEY", g.called("create ", s, " ", name, tokens)
}

func (g *groups) AddToGroup(_ context.Context, s ccs.SenderID, key, name string, tokens []string) error {
	return g.called("add ", s, " ", key, name, tokens)
}

func (g *groups) RemoveFromGroup(_ context.Context, s ccs.SenderID, key, name string, tokens []string) error {
	return g.called("remove ", s, " ", key, name, tokens)
}

func (g *groups) GroupKey(_ context.Context, s ccs.SenderID, name string) (string, error) {
	return "KEY", g.called("find ", s, " ", name)
}

func TestGroups(t *testing.T) {
	t.Parallel()
	const (
		key  = `{"notification_key":"KEY"}`
		good = "key=good"
	)
	refusal := func(text string) string { return `{"error":"` + text + `"}` }
	for _, c := range []struct {
		name, auth, project, method, path, body string
		status                                  int
		answer, call                            string
	}{
		{"create", good, sender, "POST", "/gcm/notification", `{"operation":"create","notification_key_name":"user-7","registration_ids":["T1","T2"]}`, 200, key, "create 123456789012 user-7[T1 T2]"},
		{"add", good, sender, "POST", "/fcm/notification", `{"operation":"add","notification_key":"KEY","registration_ids":["T1"]}`, 200, key, "add 123456789012 KEY[T1]"},
		{"remove, by a bearer", "Bearer good", sender, "POST", "/fcm/notification", `{"operation":"remove","notification_key":"KEY","notification_key_name":"n","registration_ids":["T1"]}`, 200, key, "remove 123456789012 KEYn[T1]"},
		{"find", good, sender, "GET", "/gcm/notification?notification_key_name=user%207", "", 200, key, "find 123456789012 user 7"},
		{"find, with a body", good, sender, "GET", "/fcm/notification?notification_key_name=n", "{}", 200, key, "find 123456789012 n"},
		{"no key", "", sender, "GET", "/fcm/notification?notification_key_name=n", "", 401, refusal("Unauthorized"), ""},
		{"another project", good, "1", "GET", "/fcm/notification?notification_key_name=n", "", 401, refusal("Unauthorized"), ""},
		{"no project", good, "", "GET", "/fcm/notification?notification_key_name=n", "", 401, refusal("Unauthorized"), ""},
		{"no JSON", good, sender, "POST", "/fcm/notification", `{`, 400, refusal("invalid JSON"), ""},
		{"no tokens", good, sender, "POST", "/fcm/notification", `{"operation":"create","notification_key_name":"n","registration_ids":[]}`, 400, refusal("no valid registration ids"), ""},
		{"no operation", good, sender, "POST", "/fcm/notification", `{"registration_ids":["T"]}`, 400, refusal("operation is not valid"), ""},
		{"exists", good, sender, "POST", "/fcm/notification", `{"operation":"create","notification_key_name":"exists","registration_ids":["T"]}`, 400, refusal("notification_key already exists"), "create 123456789012 exists[T]"},
		{"not found", good, sender, "GET", "/fcm/notification?notification_key_name=unknown", "", 400, refusal("notification_key not found"), "find 123456789012 unknown"},
		{"another name", good, sender, "POST", "/fcm/notification", `{"operation":"add","notification_key":"K","notification_key_name":"other","registration_ids":["T"]}`, 400, refusal("notification_key_name doesn't match the group name of the notification_key"), "add 123456789012 Kother[T]"},
		{"dead tokens", good, sender, "POST", "/fcm/notification", `{"operation":"add","notification_key":"none","registration_ids":["T"]}`, 400, refusal("no valid registration ids"), "add 123456789012 none[T]"},
		{"too many", good, sender, "POST", "/fcm/notification", `{"operation":"add","notification_key":"many","registration_ids":["T"]}`, 400, refusal("too many members"), "add 123456789012 many[T]"},
		{"the store is away", good, sender, "GET", "/fcm/notification?notification_key_name=down", "", 503, "try again later", "find 123456789012 down"},
		{"a fault of ours", good, sender, "GET", "/fcm/notification?notification_key_name=broken", "", 500, "try again later", "find 123456789012 broken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := &groups{}
			s := httpserver.New(nil, httpserver.Options{Routes: group.Routes(g, httpserver.NewAuth(g, httpserver.AuthOptions{}))})
			r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
			r.Header.Set("Authorization", c.auth)
			r.Header.Set("project_id", c.project)
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, r)
			resp := w.Result()
			body, _ := io.ReadAll(resp.Body)
			assert.Equal(t, c.status, resp.StatusCode)
			assert.Equal(t, c.answer, string(body))
			assert.Equal(t, c.call, strings.Join(g.calls, ";"))
			if resp.StatusCode < 500 {
				assert.Equal(t, "application/json", resp.Header.Get("Content-Type"))
			}
		})
	}
}

// Groups that the clients of an app manage are off (TOPICS 4.1).
func TestOtherCallsAreUnknown(t *testing.T) {
	t.Parallel()
	g := &groups{}
	s := httpserver.New(nil, httpserver.Options{Routes: group.Routes(g, httpserver.NewAuth(g, httpserver.AuthOptions{}))})
	for call, status := range map[string]int{"POST /gcm/googlenotification": 404, "PUT /gcm/notification": 405, "GET /gcm/notification/x": 404} {
		method, path, _ := strings.Cut(call, " ")
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(method, path, nil))
		assert.Equal(t, status, w.Code, call)
	}
	assert.Empty(t, g.calls)
}
