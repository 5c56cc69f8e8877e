package gcmhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/ccs/httpserver/gcmhttp"
	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/store"
)

const sender = "126200347933"

// router accepts every message unless the target says otherwise, and records the messages.
type router struct {
	calls int
	from  ccs.Source
	batch []ccs.Downstream
	err   error // of Authorize
}

func (r *router) Profile() ccs.Profile { return ccs.Profile{} }

func (r *router) Authorize(_ context.Context, c ccs.Credential) (ccs.Authorization, error) {
	switch {
	case r.err != nil:
		return ccs.Authorization{}, r.err
	case c.Key == "AIzaKey" || c.Token == "ya29.token":
		return ccs.Authorization{Sender: sender, Grant: ccs.Grant{KeyID: "1", Limits: store.Limits{PerSecond: 7}}}, nil
	}
	return ccs.Authorization{}, fmt.Errorf("%w: unknown key", ccs.ErrUnauthorized)
}

func (r *router) Send(_ context.Context, from ccs.Source, batch []ccs.Downstream, dst []ccs.Result) []ccs.Result {
	r.calls++
	r.from = from
	for _, m := range batch {
		kept := m
		kept.Data, kept.Notification = append(payload.Data{}, m.Data...), append(payload.Data(nil), m.Notification...)
		kept.To, kept.ID = strings.Clone(m.To), strings.Clone(m.ID)
		r.batch = append(r.batch, kept)
		res := ccs.Result{ID: m.ID}
		if m.Condition != "" || strings.HasPrefix(m.To, payload.TopicPrefix) {
			res.TopicID = 6655125069012345678
		}
		if to, ok := strings.CutPrefix(m.To, "old:"); ok {
			res.Canonical = to
		} else if name, ok := strings.CutPrefix(m.To, "bad:"); ok {
			for reason := range ccs.Reasons() {
				if reason.String() == name {
					res.Refusal = &ccs.Refusal{Reason: reason}
				}
			}
		}
		if group, ok := strings.CutPrefix(m.To, "group:"); ok {
			res.Group = &ccs.GroupResult{Success: 1}
			switch group {
			case "some":
				res.Group.Failed = []string{"T1", "T2"}
			case "none":
				res.Group = &ccs.GroupResult{Failed: []string{"T1"}}
				res.Refusal = &ccs.Refusal{Reason: ccs.QueueFull}
			}
		}
		dst = append(dst, res)
	}
	return dst
}

// door is a server with the door, and a client's calls to it.
type door struct {
	*router
	t *testing.T
	s *httpserver.Server
}

func newDoor(t *testing.T) *door {
	r := &router{}
	auth := httpserver.NewAuth(r, httpserver.AuthOptions{})
	return &door{r, t, httpserver.New(nil, httpserver.Options{Routes: gcmhttp.Routes(r, auth)})}
}

func (d *door) call(path, contentType, body string, headers ...string) (*http.Response, string) {
	d.t.Helper()
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.Header.Set("Authorization", "key=AIzaKey")
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	d.s.Handler().ServeHTTP(w, r)
	got, err := io.ReadAll(w.Result().Body)
	require.NoError(d.t, err)
	return w.Result(), string(got)
}

func (d *door) json(body string) (*http.Response, string) {
	d.t.Helper()
	return d.call("/gcm/send", "application/json", body)
}

func (d *door) form(body string) (*http.Response, string) {
	d.t.Helper()
	return d.call("/gcm/send", "application/x-www-form-urlencoded;charset=UTF-8", body)
}

var numbers = regexp.MustCompile(`"multicast_id":[1-9][0-9]*|0:[0-9]{16}%[0-9a-f]{16}|id=[1-9][0-9]*$`)

// shape replaces the parts of an answer that differ each time.
func shape(s string) string {
	return numbers.ReplaceAllStringFunc(s, func(found string) string {
		switch {
		case strings.HasPrefix(found, `"multicast`):
			return `"multicast_id":N`
		case strings.HasPrefix(found, "id="):
			return "id=N"
		}
		return "ID"
	})
}

// CCS 6.5: the shapes of answers in JSON.
func TestAnswersInJSON(t *testing.T) {
	for _, row := range []struct {
		name, body string
		status     int
		want       string
		retry      string
	}{
		{"one token", `{"to":"T"}`, 200, `{"multicast_id":N,"success":1,"failure":0,"canonical_ids":0,"results":[{"message_id":"ID"}]}`, ""},
		{"one token in a list", `{"registration_ids":["T"]}`, 200, `{"multicast_id":N,"success":1,"failure":0,"canonical_ids":0,"results":[{"message_id":"ID"}]}`, ""},
		{"the sample of the documentation", `{"registration_ids":["T","old:NEWEST_TOKEN","bad:unregistered","bad:unavailable","bad:unknown_token","T"]}`, 200,
			`{"multicast_id":N,"success":3,"failure":3,"canonical_ids":1,"results":[{"message_id":"ID"},{"message_id":"ID","registration_id":"NEWEST_TOKEN"},` +
				`{"error":"NotRegistered"},{"error":"Unavailable"},{"error":"InvalidRegistration"},{"message_id":"ID"}]}`, "5"},
		{"every recipient refused", `{"registration_ids":["bad:wrong_sender","bad:invalid_package"]}`, 200,
			`{"multicast_id":N,"success":0,"failure":2,"canonical_ids":0,"results":[{"error":"MismatchSenderId"},{"error":"InvalidPackageName"}]}`, ""},
		{"every recipient unavailable", `{"registration_ids":["bad:unavailable","bad:unavailable"]}`, 503, `Unavailable`, "5"},
		{"a quota", `{"to":"bad:quota_exceeded"}`, 503, `Unavailable`, "1"},
		{"a fault", `{"to":"bad:internal"}`, 500, `InternalServerError`, ""},
		{"some faults", `{"registration_ids":["bad:internal","bad:unavailable"]}`, 200,
			`{"multicast_id":N,"success":0,"failure":2,"canonical_ids":0,"results":[{"error":"InternalServerError"},{"error":"Unavailable"}]}`, "5"},
		{"a topic", `{"to":"/topics/news"}`, 200, `{"message_id":6655125069012345678}`, ""},
		{"a condition", `{"condition":"'news' in topics"}`, 200, `{"message_id":6655125069012345678}`, ""},
		{"a topic in a list is no registration", `{"registration_ids":["/topics/news"]}`, 200, `{"multicast_id":N,"success":1,"failure":0,"canonical_ids":0,"results":[{"message_id":"ID"}]}`, ""},
		{"no target", `{"data":{"k":"v"}}`, 200, `{"multicast_id":N,"success":0,"failure":1,"canonical_ids":0,"results":[{"error":"MissingRegistration"}]}`, ""},
		{"a bad time_to_live", `{"registration_ids":["A","B"],"time_to_live":-1}`, 200, `{"multicast_id":N,"success":0,"failure":2,"canonical_ids":0,"results":[{"error":"InvalidTtl"},{"error":"InvalidTtl"}]}`, ""},
		{"a bad time_to_live to a topic", `{"to":"/topics/news","time_to_live":2419201}`, 200, `{"error":"InvalidTtl"}`, ""},
		{"no JSON", `abc`, 400, `JSON_PARSING_ERROR: Unexpected character (a) at position 0.`, ""},
		{"a wrong type", `{"to":"T","data":"abc"}`, 400, `Field "data" must be a JSON array: abc`, ""},
		{"no recipients", `{"registration_ids":[]}`, 400, `"registration_ids" field cannot be empty`, ""},
		{"too many recipients", `{"registration_ids":["T"` + strings.Repeat(`,"T"`, 1000) + `]}`, 400, `Number of messages on bulk (1001) exceeds maximum allowed (1000)`, ""},
		{"two kinds of target", `{"registration_ids":["T"],"to":"T"}`, 400, `Must use either "registration_ids" field or "to", not both`, ""},
		{"a bad priority", `{"to":"T","priority":"urgent"}`, 400, `{"error":"InvalidParameters"}`, ""},
		{"a token that needs escapes", `{"to":"old:a\"b"}`, 200, `{"multicast_id":N,"success":1,"failure":0,"canonical_ids":1,"results":[{"message_id":"ID","registration_id":"a\"b"}]}`, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			resp, body := newDoor(t).json(row.body)
			assert.Equal(t, row.status, resp.StatusCode)
			assert.Equal(t, row.want, shape(body))
			assert.Equal(t, row.retry, resp.Header.Get("Retry-After"))
			if strings.HasPrefix(body, "{") {
				assert.Equal(t, "application/json; charset=UTF-8", resp.Header.Get("Content-Type"))
			} else {
				assert.Contains(t, resp.Header.Get("Content-Type"), "text/plain")
			}
		})
	}
}

// CCS 6.6: the shapes of answers in plain text.
func TestAnswersInPlainText(t *testing.T) {
	for _, row := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"a token", "registration_id=T&data.k=v", 200, "id=ID"},
		{"a token by its newer name", "to=T", 200, "id=ID"},
		{"an old token", "registration_id=old%3ANEWEST", 200, "id=ID\nregistration_id=NEWEST"},
		{"a topic", "to=%2Ftopics%2Fnews", 200, "id=N"},
		{"no target", "data.k=v", 200, "Error=MissingRegistration"},
		{"nothing", "", 200, "Error=MissingRegistration"},
		{"a dead token", "registration_id=bad:unregistered", 200, "Error=NotRegistered"},
		{"a rate", "registration_id=bad:rate_exceeded", 200, "Error=DeviceMessageRateExceeded"},
		{"a bad time_to_live", "registration_id=T&time_to_live=-1", 200, "Error=InvalidTtl"},
		{"a time_to_live that is no number", "registration_id=T&time_to_live=abc", 200, "Error=InvalidTtl"},
		{"a bad key", "registration_id=T&data.from=x", 200, "Error=InvalidDataKey"},
		{"too much", "registration_id=T&data.k=" + strings.Repeat("x", 4096), 200, "Error=MessageTooBig"},
		{"a boolean that is none", "registration_id=T&dry_run=perhaps", 400, "Error=InvalidParameters"},
		{"a bad priority", "registration_id=T&priority=urgent", 400, "Error=InvalidParameters"},
		{"text that is no UTF-8 is mended", "registration_id=T&data.k=%ff", 200, "id=ID"},
		{"a store that is gone", "registration_id=bad:unavailable", 503, "Unavailable"},
		{"a fault", "registration_id=bad:internal", 500, "InternalServerError"},
	} {
		t.Run(row.name, func(t *testing.T) {
			resp, body := newDoor(t).form(row.body)
			assert.Equal(t, row.status, resp.StatusCode)
			assert.Equal(t, row.want, shape(body))
			assert.Contains(t, resp.Header.Get("Content-Type"), "text/plain")
			assert.Equal(t, row.status == 503, resp.Header.Get("Retry-After") != "")
		})
	}
}

func TestAMessageReachesTheRouter(t *testing.T) {
	want := ccs.Downstream{
		To: "T", Unique: true, CollapseKey: "c", Priority: payload.PriorityHigh, TTL: time.Minute, DelayWhileIdle: true, DryRun: true,
		ContentAvailable: true, MutableContent: true, RestrictedPackage: "com.example", Data: payload.Data{}.Append("k", "a & b"),
		Notification: payload.Data{}.Append("title", "Hi").Append("badge", "3"),
	}
	d := newDoor(t)
	d.json(`{"to":"T","collapse_key":"c","priority":"high","time_to_live":60,"delay_while_idle":true,"dry_run":true,"content_available":true,` +
		`"mutable_content":true,"restricted_package_name":"com.example","data":{"k":"a & b"},"notification":{"title":"Hi","badge":3},"delivery_receipt_requested":true}`)
	d.form("registration_id=T&collapse_key=c&priority=high&time_to_live=60&delay_while_idle=True&dry_run=1&content_available=TRUE&" +
		"mutable_content=true&restricted_package_name=com.example&data.k=a+%26+b&notification.title=Hi&notification.badge=3&data.k=second")
	require.Len(t, d.batch, 2)
	for i, got := range d.batch {
		assert.Regexp(t, `^0:[0-9]{16}%[0-9a-f]{16}$`, got.ID)
		want.ID = got.ID
		assert.Equal(t, want, got, i)
	}
	assert.NotEqual(t, d.batch[0].ID, d.batch[1].ID)
	assert.Equal(t, ccs.Source{Sender: sender, PerSecond: 7}, d.from)
}

// CCS 6.4: a multicast is one batch.
func TestAMulticastIsOneBatchWithAnIDForEach(t *testing.T) {
	d := newDoor(t)
	_, body := d.json(`{"registration_ids":["T"` + strings.Repeat(`,"T"`, 999) + `],"data":{"k":"v"}}`)
	assert.Equal(t, 1, d.calls)
	require.Len(t, d.batch, 1000)
	ids := map[string]bool{}
	for _, m := range d.batch {
		ids[m.ID] = true
		assert.Contains(t, body, m.ID)
	}
	assert.Len(t, ids, 1000)
}

// CCS 6.3: the Content-Type says how a request is written.
func TestContentTypes(t *testing.T) {
	for contentType, want := range map[string]int{
		"application/json": 200, "application/json; charset=utf-8": 200, "Application/JSON;charset=UTF-8": 200, "text/plain": 400, "application/xml": 400,
	} {
		resp, _ := newDoor(t).call("/fcm/send", contentType, `{"to":"T"}`)
		assert.Equal(t, want, resp.StatusCode, contentType)
	}
	resp, body := newDoor(t).call("/fcm/send", "", "registration_id=T")
	assert.Equal(t, 200, resp.StatusCode)
	assert.Equal(t, "id=ID", shape(body))
}

// CCS 6.2: a key or an access token, in a header only.
func TestAuthentication(t *testing.T) {
	for _, row := range []struct {
		header string
		err    error
		want   int
	}{
		{"key=AIzaKey", nil, 200},
		{"key= AIzaKey", nil, 200},
		{"Bearer ya29.token", nil, 200},
		{"key=wrong", nil, 401},
		{"AIzaKey", nil, 401},
		{"", nil, 401},
		{"key=AIzaKey", errors.New("disk full"), 503},
	} {
		d := newDoor(t)
		d.err = row.err
		resp, body := d.call("/gcm/send?key=AIzaKey", "application/json", `{"to":"T"}`, "Authorization", row.header)
		assert.Equal(t, row.want, resp.StatusCode, row.header)
		switch row.want {
		case 401:
			assert.Contains(t, body, "Unauthorized")
			assert.Contains(t, resp.Header.Get("Content-Type"), "text/html")
		case 503:
			assert.NotEmpty(t, resp.Header.Get("Retry-After"))
		}
	}
}

func TestBodiesAreLimited(t *testing.T) {
	resp, _ := newDoor(t).json(`{"to":"T","x":"` + strings.Repeat("x", 1<<20) + `"}`)
	assert.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode)
	resp, _ = newDoor(t).call("/gcm/send", "application/json", `{}`, "Content-Encoding", "br")
	assert.Equal(t, http.StatusUnsupportedMediaType, resp.StatusCode)
}

// Every reason has a word that the protocol knows (CCS 6.7).
func TestEveryReasonHasAWord(t *testing.T) {
	known := regexp.MustCompile(`^(MissingRegistration|InvalidRegistration|NotRegistered|InvalidPackageName|MismatchSenderId|MessageTooBig|InvalidDataKey|` +
		`InvalidTtl|InvalidParameters|Unavailable|InternalServerError|DeviceMessageRateExceeded|TopicsMessageRateExceeded)$`)
	for reason := range ccs.Reasons() {
		_, body := newDoor(t).json(`{"registration_ids":["T","bad:` + reason.String() + `"]}`)
		word := regexp.MustCompile(`"error":"([A-Za-z]+)"`).FindStringSubmatch(body)
		require.Len(t, word, 2, "%s: %s", reason, body)
		assert.Regexp(t, known, word[1], reason)
	}
}

func FuzzForm(f *testing.F) {
	f.Add("registration_id=T&data.k=v&time_to_live=60")
	f.Add("to=%zz&data.=&notification.x=%00&&=")
	f.Fuzz(func(t *testing.T, body string) {
		resp, text := newDoor(t).form(body)
		require.Contains(t, []int{200, 400, 413}, resp.StatusCode, text)
	})
}
