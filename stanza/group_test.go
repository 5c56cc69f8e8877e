package stanza_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openccs/openccs/stanza"
)

// TOPICS 4.2: the ack of a message to a device group.
func TestAppendGroupAck(t *testing.T) {
	wrap := func(payload string) string {
		return `<message><data:gcm xmlns:data="google:mobile:data">` + payload + `</data:gcm></message>`
	}
	assert.Equal(t, wrap(`{"message_type":"ack","from":"KEY","message_id":"m-1","success":2,"failure":0}`),
		string(stanza.AppendGroupAck(nil, "KEY", "m-1", 2, nil)))
	assert.Equal(t, wrap(`{"message_type":"ack","from":"KEY","message_id":"m-1","success":1,"failure":2,"failed_registration_ids":["T1","T2"]}`),
		string(stanza.AppendGroupAck(nil, "KEY", "m-1", 1, []string{"T1", "T2"})))
}
