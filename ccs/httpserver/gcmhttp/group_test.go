package gcmhttp_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
)

// TOPICS 4.2, 9: the answers to a message to a device group.
func TestGroupAnswers(t *testing.T) {
	for _, row := range []struct {
		name, contentType, body string
		status                  int
		answer                  string
	}{
		{"all members", "application/json", `{"to":"group:all"}`, 200, `{"success":1,"failure":0}`},
		{"by the older name", "application/json", `{"notification_key":"group:all"}`, 200, `{"success":1,"failure":0}`},
		{"some members", "application/json", `{"to":"group:some"}`, 200, `{"success":1,"failure":2,"failed_registration_ids":["T1","T2"]}`},
		{"no member", "application/json", `{"to":"group:none"}`, 503, "Unavailable"},
		{"a form", "", "registration_id=group:all", 200, "id=ID"},
		{"a form, no member", "", "registration_id=group:none", 503, "Unavailable"},
		{"a group that has ended", "application/json", `{"to":"bad:unregistered"}`, 200,
			`{"multicast_id":N,"success":0,"failure":1,"canonical_ids":0,"results":[{"error":"NotRegistered"}]}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			resp, got := newDoor(t).call("/gcm/send", row.contentType, row.body)
			assert.Equal(t, row.status, resp.StatusCode)
			assert.Equal(t, row.answer, shape(got))
			assert.Equal(t, row.status == 503, resp.Header.Get("Retry-After") != "")
		})
	}
}

func TestAMulticastReachesNoGroup(t *testing.T) {
	key, err := store.NewGroupKey(store.GroupIDOf(sender, "user-7"))
	require.NoError(t, err)
	d := newDoor(t)
	d.json(`{"registration_ids":["T","` + key + `"]}`)
	require.Len(t, d.batch, 2)
	assert.Equal(t, []string{"T", ""}, []string{d.batch[0].To, d.batch[1].To})
}
