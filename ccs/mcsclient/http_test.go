package mcsclient_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/mcs"
	"github.com/openccs/openccs/ccs/mcsclient"
)

func TestIdentityIsDecimalStringsInJSONAndHidesItsToken(t *testing.T) {
	text, err := json.Marshal(mcsclient.Identity{AndroidID: 1<<63 - 1, SecurityToken: 7})
	require.NoError(t, err)
	assert.Equal(t, `{"android_id":"9223372036854775807","security_token":"7"}`, string(text))
	var back mcsclient.Identity
	require.NoError(t, json.Unmarshal(text, &back))
	assert.Equal(t, mcsclient.Identity{AndroidID: 1<<63 - 1, SecurityToken: 7}, back)
	assert.Equal(t, "9223372036854775807", back.String())
}

// serve answers one kind of call, and keeps the last request and its body.
func serve(t *testing.T, status int, answer string) (base string, last func() (*http.Request, string)) {
	t.Helper()
	var request *http.Request
	var body []byte
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/", func() (*http.Request, string) { return request, string(body) }
}

func TestCheckIn(t *testing.T) {
	good := string((&mcs.CheckinResponse{StatsOK: true, AndroidID: 5, SecurityToken: 6}).Append(nil))
	rows := []struct {
		name   string
		status int
		answer string
		err    string
		is     error
	}{
		{name: "a good answer", status: 200, answer: good},
		{name: "an unknown device", status: 401, is: mcsclient.ErrUnknownDevice, err: "mcsclient: check in: unknown device or wrong security token"},
		{name: "a server in trouble", status: 503, answer: good, err: "mcsclient: check in: status 503"},
		{name: "an answer without an identity", status: 200, answer: "\x08\x01", err: "mcsclient: check in: the answer has no identity"},
		{name: "an answer that is none", status: 200, answer: "\xff", is: mcs.ErrBadFrame, err: "mcsclient: check in: bad frame: cut field key"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			base, last := serve(t, row.status, row.answer)
			id, err := mcsclient.CheckIn(t.Context(), nil, base, mcsclient.Identity{AndroidID: 5, SecurityToken: 6})
			r, body := last()
			assert.Equal(t, "/checkin", r.URL.Path)
			assert.Equal(t, "application/x-protobuf", r.Header.Get("Content-Type"))
			var req mcs.CheckinRequest
			require.NoError(t, req.Unmarshal([]byte(body)))
			assert.EqualValues(t, 5, req.AndroidID)
			assert.EqualValues(t, 6, req.SecurityToken)
			if row.err != "" {
				assert.EqualError(t, err, row.err)
				if row.is != nil {
					assert.ErrorIs(t, err, row.is)
				}
				return
			}
			require.NoError(t, err)
			assert.Equal(t, mcsclient.Identity{AndroidID: 5, SecurityToken: 6}, id)
		})
	}
}

func TestTheFirstCheckInIsChromiums(t *testing.T) {
	base, last := serve(t, 500, "")
	_, err := mcsclient.CheckIn(t.Context(), http.DefaultClient, base, mcsclient.Identity{})
	require.Error(t, err)
	_, body := last()
	assert.Len(t, body, 85) // DEV 2.2
}

func TestRegisterPostsChromiumsForm(t *testing.T) {
	id := mcsclient.Identity{AndroidID: 5, SecurityToken: 6}
	classic := mcsclient.Registration{App: "ext", Senders: split("1 2")}
	instance := mcsclient.Registration{App: "org.chromium.linux", Subtype: "wp:x", Senders: split("key"), InstanceID: "iid"}
	rows := []struct {
		name   string
		r      mcsclient.Registration
		remove bool
		answer string
		want   url.Values
	}{
		{
			name: "a classic registration", r: classic, answer: "token=APA91b",
			want: url.Values{"app": {"ext"}, "device": {"5"}, "sender": {"1,2"}},
		},
		{
			name: "an instance id token", r: instance, answer: "token=APA91b",
			want: url.Values{
				"app": {"org.chromium.linux"}, "X-subtype": {"wp:x"}, "device": {"5"}, "sender": {"key"},
				"scope": {"GCM"}, "X-scope": {"GCM"}, "gmsv": {"156"}, "appid": {"iid"},
			},
		},
		{
			name: "a classic removal", r: classic, remove: true, answer: "deleted=ext",
			want: url.Values{"app": {"ext"}, "device": {"5"}, "delete": {"true"}, "gcm_unreg_caller": {"false"}},
		},
		{
			name: "a removal of one instance id token", r: instance, remove: true, answer: "token=org.chromium.linux",
			want: url.Values{
				"app": {"org.chromium.linux"}, "X-subtype": {"wp:x"}, "device": {"5"}, "sender": {"key"}, "delete": {"true"},
				"scope": {"GCM"}, "X-scope": {"GCM"}, "gmsv": {"156"}, "appid": {"iid"},
			},
		},
		{
			name: "a removal of all of them", remove: true, answer: "token=ext",
			r: mcsclient.Registration{App: "ext", InstanceID: "iid"},
			want: url.Values{
				"app": {"ext"}, "device": {"5"}, "sender": {"*"}, "delete": {"true"},
				"scope": {"*"}, "X-scope": {"*"}, "gmsv": {"156"}, "appid": {"iid"},
			},
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			base, last := serve(t, 200, row.answer)
			if row.remove {
				require.NoError(t, mcsclient.Unregister(t.Context(), nil, base, id, row.r))
			} else {
				token, err := mcsclient.Register(t.Context(), nil, base, id, row.r)
				require.NoError(t, err)
				assert.Equal(t, "APA91b", token)
			}
			r, body := last()
			assert.Equal(t, "/c2dm/register3", r.URL.Path)
			assert.Equal(t, "AidLogin 5:6", r.Header.Get("Authorization"))
			got, err := url.ParseQuery(body)
			require.NoError(t, err)
			assert.Equal(t, row.want, got)
		})
	}
}

func TestRegistrationFailures(t *testing.T) {
	rows := []struct {
		name   string
		status int
		answer string
		code   string // of a RegisterError
	}{
		{name: "an error word with status 200", status: 200, answer: "Error=INVALID_SENDER", code: "INVALID_SENDER"},
		{name: "an error word with another status", status: 400, answer: "Error=INVALID_PARAMETERS\n", code: "INVALID_PARAMETERS"},
		{name: "a status alone", status: 503, answer: "token=x"},
		{name: "another text", status: 200, answer: "hello"},
		{name: "no token", status: 200, answer: "token="},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			base, _ := serve(t, row.status, row.answer)
			r := mcsclient.Registration{App: "ext", Senders: split("1")}
			_, err := mcsclient.Register(t.Context(), nil, base, mcsclient.Identity{}, r)
			gone := mcsclient.Unregister(t.Context(), nil, base, mcsclient.Identity{}, r)
			for _, err := range []error{err, gone} {
				require.Error(t, err)
				var refused *mcsclient.RegisterError
				require.Equal(t, row.code != "", errors.As(err, &refused))
				if refused != nil {
					assert.Equal(t, mcsclient.RegisterError{Code: row.code, Status: row.status}, *refused)
				}
			}
		})
	}
}

func TestCallsToNowhereFail(t *testing.T) {
	for _, base := range []string{"http://127.0.0.1:1", "://"} {
		_, err := mcsclient.CheckIn(t.Context(), nil, base, mcsclient.Identity{})
		assert.Error(t, err)
		_, err = mcsclient.Register(t.Context(), nil, base, mcsclient.Identity{}, mcsclient.Registration{})
		assert.Error(t, err)
	}
}
