package xmppserver_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/xmppserver"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/store"
)

// Each era spells nacks and the control message in its own way (CCS 3.3, 3.7).
func TestErasSpellTheirAnswers(t *testing.T) {
	t.Parallel()
	const (
		foreign = "T-of-another-sender"
		badTTL  = `InvalidJson: INVALID_TTL : Invalid value (-1) for \"time_to_live\": must be between 0 and \"2419200\"`
		rate    = "Downstream message rate exceeded for this registration id"
	)
	oldNack := func(to, id, text string) string {
		return fmt.Sprintf(`<message><data:gcm xmlns:data="google:mobile:data">{"message_type":"nack","from":"%s","message_id":"%s","error":"%s"}</data:gcm></message>`, to, id, text)
	}
	nack := func(to, id, code, text string) string { return fmt.Sprintf(nackShape, to, id, code, text) }
	for _, tt := range []struct {
		name                 string
		ttl, mismatch, often string
		control              string
	}{
		{
			name: "default", ttl: nack(testToken, "m", "INVALID_JSON", badTTL),
			mismatch: nack(foreign, "m", "BAD_REGISTRATION", "Invalid token on 'to' field: "+foreign),
			often:    nack(testToken, "m-2", "DEVICE_MESSAGE_RATE_EXCEEDED", rate), control: `"message_id":"drain-`,
		},
		{
			name: "gcm-2013", ttl: oldNack(testToken, "m", `InvalidJson : INVALID_TTL : Invalid value (-1) for \"time_to_live\": must be between 0 and \"2419200\"\n`),
			mismatch: oldNack(foreign, "m", "BAD_REGISTRATION"), often: oldNack(testToken, "m-2", "QUOTA_EXCEEDED"),
		},
		{
			name: "gcm-2015", ttl: nack(testToken, "m", "INVALID_JSON", badTTL),
			mismatch: nack(foreign, "m", "BAD_REGISTRATION", "Invalid token on 'to' field: "+foreign),
			often:    nack(testToken, "m-2", "DEVICE_MESSAGE_RATE_EXCEEDED", rate),
		},
		{
			name: "fcm-2019", ttl: nack(testToken, "m", "INVALID_JSON", badTTL),
			mismatch: nack(foreign, "m", "SENDER_ID_MISMATCH", "Invalid token on 'to' field: "+foreign),
			often:    nack(testToken, "m-2", "DEVICE_MESSAGE_RATE_EXCEEDED", rate),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			profile, ok := ccs.NamedProfile(tt.name)
			require.True(t, ok)
			profile.DeviceRate = flowcontrol.Rate{Every: time.Hour, Burst: 1}
			w := newWorld(t, xmppserver.Options{DrainMin: time.Millisecond}, ccs.Options{Profile: profile})
			now := time.Now()
			_, err := w.store.Register(t.Context(), store.Registration{Token: foreign, Device: 7, App: testApp, Senders: []string{"999999999999"}, Created: now}, now)
			require.NoError(t, err)
			p := w.login()
			answer := func(to, id, extra string) string {
				p.send(send(to, id, extra))
				return p.until("</message>")
			}
			assert.Equal(t, tt.ttl, answer(testToken, "m", `,"time_to_live":-1`))
			assert.Equal(t, tt.mismatch, answer(foreign, "m", ""))
			assert.Contains(t, answer(testToken, "m-1", ""), `"message_type":"ack"`)
			assert.Equal(t, tt.often, answer(testToken, "m-2", ""))
			go w.server.Drain(context.Background())
			control := p.until("</message>")
			assert.Contains(t, control, `{"message_type":"control","control_type":"CONNECTION_DRAINING"`+map[bool]string{true: "}", false: ","}[tt.control == ""])
			assert.Contains(t, control, tt.control)
		})
	}
}
