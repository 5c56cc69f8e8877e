package httpserver_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/store"
)

const (
	extension = "nmmhkkegccagdldgiimedpiccmgmieda"
	vapidKey  = "BDOU99-h67HcA6JeFXHbSNMu7e2yNNu3RzoMj8TM4W88jITfq7ZmPvIM1Iv-4_l2LxQcYwhqby2xGpWwzjfAnG4"
	device    = "device=4611686018427387905&"
)

// These are the bodies of DEV 3.3, as clients send them, with the fields of DEV 3.2.
func TestRegistrationsOfEveryKind(t *testing.T) {
	rows := []struct {
		name, body string
		want       store.Registration
		answer     string
	}{
		{
			name: "chrome.gcm.register",
			body: "app=" + extension + "&device=4611686018427387905&sender=123456789012,99",
			want: store.Registration{App: extension, Senders: []string{"123456789012", "99"}},
		},
		{
			name: "senders are sorted and deduplicated",
			body: device + "app=a&sender=3%2C1,2,1",
			want: store.Registration{App: "a", Senders: []string{"1", "2", "3"}},
		},
		{
			name: "chrome.instanceID.getToken",
			body: "app=" + extension + "&device=4611686018427387905&scope=GCM&X-scope=GCM&gmsv=156&appid=dXyZ0123_-4&sender=123456789012",
			want: store.Registration{App: extension, InstanceID: "dXyZ0123_-4", Scope: "GCM", Senders: []string{"123456789012"}},
		},
		{
			name: "pushManager.subscribe, which leaves colons and slashes as they are",
			body: "app=org.chromium.linux&X-subtype=wp:http://localhost:18080/%23A1B2C3D4-0000-4000-8000-00000000-V2&device=4611686018427387905&scope=GCM&X-scope=GCM&gmsv=156&appid=dXyZ0123_-4&sender=" + vapidKey,
			want: store.Registration{
				App: "org.chromium.linux", Subtype: "wp:http://localhost:18080/#A1B2C3D4-0000-4000-8000-00000000-V2",
				InstanceID: "dXyZ0123_-4", Scope: "GCM", Senders: []string{vapidKey},
			},
		},
		{
			name: "push-receiver",
			body: "app=org.chromium.linux&X-subtype=wp%3Areceiver.push.com%230a1b&device=4611686018427387905&sender=" + vapidKey,
			want: store.Registration{App: "org.chromium.linux", Subtype: "wp:receiver.push.com#0a1b", Senders: []string{vapidKey}},
		},
		{
			name: "@liamcottle/push-receiver",
			body: "device=4611686018427387905&app=com.example&cert=00aa&app_ver=1&X-subtype=123456789012&X-app_ver=1&X-osv=29&X-cliv=fiid-21.1.1&X-gmsv=220217001&X-scope=%2A&X-Goog-Firebase-Installations-Auth=ey.x&X-gms_app_id=1%3A2%3Aandroid%3A3&X-Firebase-Client=x&X-Firebase-Client-Log-Type=1&X-app_ver_name=1&target_ver=31&sender=123456789012",
			want: store.Registration{App: "com.example", Subtype: "123456789012", Senders: []string{"123456789012"}},
		},
		{
			name: "an installation id and scope under their second names",
			body: device + "app=com.example&X-appid=abcdefghijklmnopqrstuv&X-scope=%2A&sender=1",
			want: store.Registration{App: "com.example", InstanceID: "abcdefghijklmnopqrstuv", Scope: "*", Senders: []string{"1"}},
		},
		{
			name:   "a request id that wants to come back",
			body:   device + "app=com.example&sender=1&X-kid=|ID|17|",
			want:   store.Registration{App: "com.example", Senders: []string{"1"}},
			answer: "token=|ID|17|:APA91bToken",
		},
		{
			name: "a request id that is none",
			body: device + "app=com.example&sender=1&X-kid=|ID|%0a|",
			want: store.Registration{App: "com.example", Senders: []string{"1"}},
		},
		{
			name: "the account mapping of a fresh Chromium profile",
			body: device + "app=com.google.android.gms&sender=745476177629",
			want: store.Registration{App: "com.google.android.gms", Senders: []string{"745476177629"}},
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			for _, path := range []string{"/c2dm/register3", "/c2dm/register"} {
				d := &devices{}
				resp := request(t, d, "POST", path, row.body, "Authorization", login)
				require.Equal(t, 200, resp.StatusCode)
				assert.Equal(t, "text/plain", resp.Header.Get("Content-Type"))
				if row.answer == "" {
					row.answer = "token=APA91bToken"
				}
				assert.Equal(t, row.answer, text(t, resp))
				row.want.Device = knownID
				assert.Equal(t, []store.Registration{row.want}, d.registered)
			}
		})
	}
}

// These are removals, and their answers without a newline (DEV 3.1, 3.3).
func TestRemovalsOfEveryKind(t *testing.T) {
	rows := []struct {
		name, body, answer string
		want               store.Registration
	}{
		{
			name:   "chrome.gcm.unregister",
			body:   "app=" + extension + "&device=4611686018427387905&delete=true&gcm_unreg_caller=false",
			want:   store.Registration{App: extension},
			answer: "deleted=" + extension,
		},
		{
			name:   "microG",
			body:   device + "app=com.example&cert=00aa&app_ver=1&info=&delete=1&sender=5",
			want:   store.Registration{App: "com.example"},
			answer: "deleted=com.example",
		},
		{
			name:   "every token of an instance id",
			body:   device + "app=" + extension + "&delete=true&scope=*&X-scope=*&gmsv=156&appid=dXyZ0123_-4&sender=*",
			want:   store.Registration{App: extension, InstanceID: "dXyZ0123_-4", Scope: "*", Senders: []string{"*"}},
			answer: "token=" + extension,
		},
		{
			name:   "one token of an instance id",
			body:   device + "app=" + extension + "&X-delete=1&scope=GCM&appid=dXyZ0123_-4&sender=7&X-subtype=s",
			want:   store.Registration{App: extension, Subtype: "s", InstanceID: "dXyZ0123_-4", Scope: "GCM", Senders: []string{"7"}},
			answer: "token=" + extension,
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			d := &devices{}
			resp := request(t, d, "POST", "/c2dm/register3", row.body, "Authorization", login)
			require.Equal(t, 200, resp.StatusCode)
			assert.Equal(t, row.answer, text(t, resp))
			row.want.Device = knownID
			assert.Equal(t, []store.Registration{row.want}, d.unregistered)
			assert.Empty(t, d.registered)
		})
	}
}

// Subscriptions to topics (TOPICS 2.2). The answer begins with token= in both directions.
func TestSubscriptions(t *testing.T) {
	for _, row := range []struct{ name, body, want, answer string }{
		{"Firebase", device + "app=a&sender=T1&X-gcm.topic=/topics/news&X-scope=/topics/news&X-subtype=T1&X-subscription=T1", "a T1 news false", "token=T1"},
		{"an older name", device + "app=a&sender=T1&gcm.topic=/topics/news", "a T1 news false", "token=T1"},
		{"the scope only", device + "app=a&sender=T1&scope=/topics/news", "a T1 news false", "token=T1"},
		{"a percent sign is literal", device + "app=a&sender=T1&X-gcm.topic=/topics/a%2520b", "a T1 a%20b false", "token=T1"},
		{"leaving", device + "app=a&sender=T1&X-gcm.topic=/topics/news&delete=true&X-delete=1", "a T1 news true", "token=T1"},
		{"with a mark", device + "app=a&sender=T1&X-gcm.topic=/topics/news&X-kid=|ID|3|", "a T1 news false", "token=|ID|3|:T1"},
		{"an old client", device + "app=a&sender=123&X-gcm.topic=/topics/news", "a 123 news false", "token=123"},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := &devices{}
			resp := request(t, d, "POST", "/c2dm/register3", row.body, "Authorization", login)
			require.Equal(t, 200, resp.StatusCode)
			assert.Equal(t, row.answer, text(t, resp))
			assert.Equal(t, []string{row.want}, d.topics)
			assert.Empty(t, d.registered)
			assert.Empty(t, d.unregistered)
		})
	}
}

// The errors use the words that clients know (DEV 3.4).
func TestRegistrationErrors(t *testing.T) {
	const good = device + "app=a&sender=1"
	manySenders := make([]string, 101)
	for i := range manySenders {
		manySenders[i] = fmt.Sprint(i)
	}
	rows := []struct {
		name, body, login string
		err, topicErr     error
		status            int
		word              string
	}{
		{name: "no credential", body: good, login: "-", status: 401, word: "PHONE_REGISTRATION_ERROR"},
		{name: "another scheme", body: good, login: "Bearer 4611686018427387905:1234567890123456789", status: 401, word: "PHONE_REGISTRATION_ERROR"},
		{name: "a credential without a token", body: good, login: "AidLogin 4611686018427387905", status: 401, word: "PHONE_REGISTRATION_ERROR"},
		{name: "a wrong token", body: good, login: "AidLogin 4611686018427387905:7", status: 401, word: "PHONE_REGISTRATION_ERROR"},
		{name: "another device's credential", body: "device=5&app=a&sender=1", status: 401, word: "PHONE_REGISTRATION_ERROR"},
		{name: "no device", body: "app=a&sender=1", status: 401, word: "PHONE_REGISTRATION_ERROR"},
		{name: "no app", body: device + "sender=1", status: 400, word: "INVALID_PARAMETERS"},
		{name: "no sender", body: device + "app=a", status: 400, word: "INVALID_SENDER"},
		{name: "an empty sender", body: device + "app=a&sender=1,,2", status: 400, word: "INVALID_SENDER"},
		{name: "a sender that is not one", body: device + "app=a&sender=nobody", status: 400, word: "INVALID_SENDER"},
		{name: "a sender with a zero byte", body: device + "app=a&sender=1%00", status: 400, word: "INVALID_SENDER"},
		{name: "101 senders", body: device + "app=a&sender=" + strings.Join(manySenders, ","), status: 400, word: "INVALID_SENDER"},
		{name: "an instance id with two entities", body: device + "app=a&appid=i&sender=1,2", status: 400, word: "INVALID_SENDER"},
		{name: "an app with a zero byte", body: device + "app=a%00b&sender=1", status: 400, word: "INVALID_PARAMETERS"},
		{name: "a subtype that is no text", body: device + "app=a&sender=1&X-subtype=%ff", status: 400, word: "INVALID_PARAMETERS"},
		{name: "a very long app", body: device + "sender=1&app=" + strings.Repeat("a", 257), status: 400, word: "INVALID_PARAMETERS"},
		{name: "a topic without a token", body: device + "app=a&X-gcm.topic=/topics/news", status: 400, word: "INVALID_PARAMETERS"},
		{name: "a topic without an app", body: device + "sender=APA91b&X-gcm.topic=/topics/news", status: 400, word: "INVALID_PARAMETERS"},
		{name: "a topic that is no address", body: device + "app=a&sender=APA91b&X-gcm.topic=news", status: 400, word: "INVALID_PARAMETERS"},
		{name: "a topic with a bad name", body: device + "app=a&sender=APA91b&X-gcm.topic=/topics/a%20b", topicErr: ccs.ErrInvalidTopic, status: 400, word: "INVALID_PARAMETERS"},
		{name: "a topic of a token that is another's", body: device + "app=a&sender=APA91b&X-gcm.topic=/topics/a", topicErr: ccs.ErrNotMember, status: 400, word: "INVALID_PARAMETERS"},
		{name: "one topic too many", body: device + "app=a&sender=APA91b&X-gcm.topic=/topics/a", topicErr: ccs.ErrTooManyTopics, status: 400, word: "TOO_MANY_SUBSCRIBERS"},
		{name: "a topic, and a failure of ours", body: device + "app=a&sender=APA91b&X-gcm.topic=/topics/a", err: errors.New("disk full"), status: 503, word: "InternalServerError"},
		{name: "a form that is none", body: good + "&x=%zz", status: 400, word: "INVALID_PARAMETERS"},
		{name: "a form without end", body: good + "&x=" + strings.Repeat("x", 64<<10), status: 400, word: "INVALID_PARAMETERS"},
		{name: "a failure of ours", body: good, err: errors.New("disk full"), status: 503, word: "InternalServerError"},
		{name: "a removal with a wrong token", body: device + "app=a&delete=1", login: "AidLogin 4611686018427387905:7", status: 401, word: "PHONE_REGISTRATION_ERROR"},
		{name: "a removal of an instance id without a sender", body: device + "app=a&appid=i&delete=1", status: 400, word: "INVALID_SENDER"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if row.login == "" {
				row.login = login
			}
			d := &devices{err: row.err, topicErr: row.topicErr}
			resp := request(t, d, "POST", "/c2dm/register3", row.body, "Authorization", row.login)
			assert.Equal(t, row.status, resp.StatusCode)
			assert.Equal(t, "Error="+row.word, text(t, resp))
			assert.Equal(t, row.status == 503, resp.Header.Get("Retry-After") != "")
			assert.Empty(t, d.registered)
			assert.Empty(t, d.unregistered)
		})
	}
}

func TestOneHundredSendersAreFine(t *testing.T) {
	senders := make([]string, 100)
	for i := range senders {
		senders[i] = fmt.Sprint(1000 + i)
	}
	d := &devices{}
	resp := request(t, d, "POST", "/c2dm/register3", device+"app=a&sender="+strings.Join(senders, ","), "Authorization", login)
	require.Equal(t, 200, resp.StatusCode)
	assert.Equal(t, senders, d.registered[0].Senders)
}
