package ccstest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
)

// notify makes a call that manages a device group and returns its answer.
func notify(t testing.TB, s *ccstest.Server, body string) (status int, answer map[string]string) {
	t.Helper()
	resp, text := post(t, s, s.HTTP(), "/fcm/notification", "application/json", body, "project_id", s.Sender)
	require.NoError(t, json.Unmarshal([]byte(text), &answer), text)
	return resp.StatusCode, answer
}

// A group from its creation to its end: each message reaches every member, over HTTP and XMPP, with
// a receipt from each; a member's own message reaches the others (TOPICS 4, 8).
func TestDeviceGroups(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store ccstest.Option) {
		s := ccstest.Start(t, store)
		a, b, c := s.Enrol("com.example.app"), s.Enrol("com.example.app"), s.Enrol("com.example.app")
		status, got := notify(t, s, fmt.Sprintf(`{"operation":"create","notification_key_name":"user-7","registration_ids":[%q,%q,"dead"]}`, a.Token, b.Token))
		require.Equal(t, http.StatusOK, status, got)
		key := got["notification_key"]
		require.Regexp(t, "^APA91b", key)

		devA, inA := receive(s, a, mcsclient.Options{})
		messagesB := newInbox[*mcsclient.Message]()
		s.Connect(b, mcsclient.Options{OnMessage: func(m *mcsclient.Message) { messagesB.add(m) }})
		hc := s.HTTP()
		_, text := post(t, s, hc, "/gcm/send", "application/json", fmt.Sprintf(`{"to":%q,"data":{"id":"1"}}`, key))
		assert.Equal(t, `{"success":2,"failure":0}`, text)
		assert.Equal(t, []string{"1"}, inA.wait(t, 1))
		assert.Equal(t, s.Sender, messagesB.wait(t, 1)[0].From)

		receipts := newInbox[string]()
		server := s.AppServer(ccsclient.Options{OnReceipt: func(r *ccsclient.Receipt) { receipts.add(r.OriginalID + " " + r.Token) }})
		m := message(key, "2")
		m.ReceiptRequested = true
		answer, err := server.SendWait(t.Context(), m)
		require.NoError(t, err)
		assert.Equal(t, "2", answer.MessageID)
		assert.Equal(t, []string{"1", "2"}, inA.wait(t, 2))
		assert.ElementsMatch(t, []string{"2 " + a.Token, "2 " + b.Token}, receipts.wait(t, 2))

		acked := make(chan error, 1)
		require.NoError(t, devA.Send(context.Background(), &mcsclient.Upstream{
			To: key, Category: a.App, ID: "up", PersistentID: "p-1", Data: []mcsclient.Pair{{Key: "id", Value: "3"}},
		}, func(err error) { acked <- err }))
		require.NoError(t, <-acked)
		up := messagesB.wait(t, 3)[2]
		id, _ := up.Get("google.message_id")
		text, _ = up.Get("id")
		assert.Equal(t, []string{key, "up", "3"}, []string{up.From, id, text})

		status, _ = notify(t, s, fmt.Sprintf(`{"operation":"add","notification_key":%q,"registration_ids":[%q]}`, key, c.Token))
		assert.Equal(t, http.StatusOK, status)
		assert.Equal(t, "deleted=com.example.app", register(t, s, b.Identity, "app=com.example.app&delete=true"))
		_, text = post(t, s, hc, "/gcm/send", "application/json", fmt.Sprintf(`{"to":%q,"data":{"id":"4"}}`, key))
		assert.Equal(t, `{"success":2,"failure":0}`, text, "who has unregistered is no member")
		_, inC := receive(s, c, mcsclient.Options{})
		assert.Equal(t, []string{"4"}, inC.wait(t, 1))

		status, got = notify(t, s, fmt.Sprintf(`{"operation":"remove","notification_key":%q,"registration_ids":[%q,%q]}`, key, a.Token, c.Token))
		assert.Equal(t, http.StatusOK, status, got)
		_, text = post(t, s, hc, "/gcm/send", "application/json", fmt.Sprintf(`{"to":%q}`, key))
		assert.Contains(t, text, `"results":[{"error":"NotRegistered"}]`)
		_, err = server.SendWait(t.Context(), message(key, "5"))
		assert.ErrorContains(t, err, "DEVICE_UNREGISTERED")
		status, got = notify(t, s, fmt.Sprintf(`{"operation":"add","notification_key":%q,"registration_ids":[%q]}`, key, a.Token))
		assert.Equal(t, []any{400, "notification_key not found"}, []any{status, got["error"]})
	})
}
