package ccstest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
)

// call makes a request of an app server, and returns the status and the body of the answer.
func call(t *testing.T, s *ccstest.Server, method, path, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequest(method, s.HTTPURL()+path, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "key="+s.Key)
	req.Header.Set("project_id", s.Sender)
	resp, err := s.HTTP().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

// subscriber is a device that is connected.
type subscriber struct {
	*ccstest.Device
	got chan *mcsclient.Message
}

func connectSubscriber(t *testing.T, s *ccstest.Server) *subscriber {
	t.Helper()
	d := &subscriber{s.Enrol("com.example"), make(chan *mcsclient.Message, 100)}
	s.Connect(d.Device, mcsclient.Options{OnMessage: func(m *mcsclient.Message) { d.got <- m }})
	return d
}

func (d *subscriber) next(t *testing.T) *mcsclient.Message {
	t.Helper()
	select {
	case m := <-d.got:
		return m
	case <-time.After(patience):
		require.Fail(t, "no message")
		return nil
	}
}

// The worked example of TOPICS 8, on each store: a device subscribes itself, an app server
// another one; messages to a topic, to a condition and to a group, over both doors.
func TestTopicsAndGroups(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store ccstest.Option) {
		s := ccstest.Start(t, store)
		a, b := connectSubscriber(t, s), connectSubscriber(t, s)
		require.NoError(t, mcsclient.Subscribe(t.Context(), s.HTTP(), s.HTTPURL(), a.Identity, "com.example", a.Token, "news"))
		status, answer := call(t, s, "POST", "/iid/v1:batchAdd", `{"to":"/topics/news","registration_tokens":["`+b.Token+`","dead"]}`)
		assert.Equal(t, `200 {"results":[{},{"error":"NOT_FOUND"}]}`, join(status, answer))
		status, answer = call(t, s, "GET", "/iid/info/"+b.Token+"?details=true", "")
		require.Equal(t, 200, status)
		assert.Contains(t, answer, `"rel":{"topics":{"news":{"addDate":"`)

		status, answer = call(t, s, "POST", "/fcm/send", `{"condition":"'news' in topics && !('muted' in topics)","data":{"a":"1"},"time_to_live":600}`)
		require.Equal(t, 200, status)
		var topic struct {
			ID int64 `json:"message_id"`
		}
		require.NoError(t, json.Unmarshal([]byte(answer), &topic))
		assert.Positive(t, topic.ID)
		for _, d := range []*subscriber{a, b} {
			m := d.next(t)
			assert.Equal(t, s.Sender, m.From)
			v, _ := m.Get("a")
			assert.Equal(t, "1", v)
		}

		c := s.AppServer(ccsclient.Options{})
		require.NoError(t, answerOf(t, c, "/topics/news").Err)
		for _, d := range []*subscriber{a, b} {
			assert.Equal(t, "/topics/news", d.next(t).From)
		}
		require.NoError(t, mcsclient.Unsubscribe(t.Context(), s.HTTP(), s.HTTPURL(), a.Identity, "com.example", a.Token, "news"))
		status, answer = call(t, s, "DELETE", "/iid/v1/"+b.Token+"/rel/topics/news", "")
		assert.Equal(t, "200 {}", join(status, answer))

		status, answer = call(t, s, "POST", "/fcm/notification", `{"operation":"create","notification_key_name":"user-7","registration_ids":["`+a.Token+`","`+b.Token+`"]}`)
		require.Equal(t, 200, status)
		var group struct {
			Key string `json:"notification_key"`
		}
		require.NoError(t, json.Unmarshal([]byte(answer), &group))
		status, found := call(t, s, "GET", "/gcm/notification?notification_key_name=user-7", "")
		assert.Equal(t, "200 "+answer, join(status, found))
		status, answer = call(t, s, "POST", "/fcm/send", `{"to":"`+group.Key+`","data":{"hi":"all"}}`)
		assert.Equal(t, `200 {"success":2,"failure":0}`, join(status, answer))
		require.NoError(t, answerOf(t, c, group.Key).Err)
		for range 2 {
			for _, d := range []*subscriber{a, b} {
				assert.Equal(t, s.Sender, d.next(t).From)
			}
		}
		// Another key that names the same group is not its key.
		last := "x"
		if strings.HasSuffix(group.Key, last) {
			last = "y"
		}
		status, answer = call(t, s, "POST", "/fcm/send", `{"to":"`+group.Key[:len(group.Key)-1]+last+`","data":{"hi":"all"}}`)
		require.Equal(t, 200, status)
		assert.Contains(t, answer, `"results":[{"error":"NotRegistered"}]`)
	})
}

func join(status int, answer string) string {
	return strconv.Itoa(status) + " " + answer
}
