package mcs_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/openccs/openccs/ccs/mcs"
)

// message has the methods of every message struct in the package.
type message interface {
	mcs.Appender
	Unmarshal(b []byte) error
}

// full has every message with a different value in every field, beside the same message by the
// schema.
var full = []struct {
	name    string
	schema  string
	message message
	empty   message
	text    string
}{
	{
		name:    "a heartbeat",
		schema:  "Heartbeat",
		message: &mcs.Heartbeat{StreamID: 1, LastStreamID: -2, Status: 1 << 40},
		empty:   &mcs.Heartbeat{},
		text:    `stream_id: 1 last_stream_id_received: -2 status: 1099511627776`,
	},
	{
		name:   "a login request",
		schema: "LoginRequest",
		message: &mcs.LoginRequest{
			ID: "chrome-156.0.8078.79", Domain: "mcs.android.com", User: "7", Resource: "8", AuthToken: "9",
			DeviceID: "android-7", LastRMQID: 11,
			Settings:              []mcs.Setting{{Name: "new_vc", Value: "1"}, {Name: "hbping", Value: "30000"}},
			ReceivedPersistentIDs: []string{"a", "", "c"},
			AdaptiveHeartbeat:     true,
			HeartbeatStat:         &mcs.HeartbeatStat{IP: "::1", Timeout: true, IntervalMS: 300000},
			UseRMQ2:               true, AccountID: 15, AuthService: mcs.AuthServiceAndroidID, NetworkType: 1, Status: -18,
		},
		empty: &mcs.LoginRequest{},
		text: `id: "chrome-156.0.8078.79" domain: "mcs.android.com" user: "7" resource: "8" auth_token: "9"
			device_id: "android-7" last_rmq_id: 11 setting {name: "new_vc" value: "1"}
			setting {name: "hbping" value: "30000"} received_persistent_id: ["a", "", "c"]
			adaptive_heartbeat: true heartbeat_stat {ip: "::1" timeout: true interval_ms: 300000}
			use_rmq2: true account_id: 15 auth_service: 2 network_type: 1 status: -18`,
	},
	{
		name:   "a login response",
		schema: "LoginResponse",
		message: &mcs.LoginResponse{
			ID: "android-36", JID: "j",
			Error:    &mcs.ErrorInfo{Code: 401, Message: "Authentication Failed: wrong_secret", Type: "t"},
			Settings: []mcs.Setting{{Name: "n", Value: "v"}}, StreamID: 1, LastStreamID: 1,
			HeartbeatConfig: &mcs.HeartbeatConfig{UploadStat: true, IP: "10.0.0.1", IntervalMS: 20000},
			ServerTimestamp: 1795304488123,
		},
		empty: &mcs.LoginResponse{},
		text: `id: "android-36" jid: "j" error {code: 401 message: "Authentication Failed: wrong_secret" type: "t"}
			setting {name: "n" value: "v"} stream_id: 1 last_stream_id_received: 1
			heartbeat_config {upload_stat: true ip: "10.0.0.1" interval_ms: 20000} server_timestamp: 1795304488123`,
	},
	{
		name:   "an iq stanza",
		schema: "IqStanza",
		message: &mcs.IqStanza{
			RMQID: 1, Type: mcs.IqResult, ID: "i", From: "f", To: "t", Error: &mcs.ErrorInfo{Code: -1},
			ExtensionID: mcs.ExtensionSelectiveAck, ExtensionData: []byte{10, 1, 'x'}, PersistentID: "p",
			StreamID: 9, LastStreamID: 10, AccountID: 11, Status: 12,
		},
		empty: &mcs.IqStanza{},
		text: `rmq_id: 1 type: 2 id: "i" from: "f" to: "t" error {code: -1} extension {id: 12 data: "\n\001x"}
			persistent_id: "p" stream_id: 9 last_stream_id_received: 10 account_id: 11 status: 12`,
	},
	{
		name:    "a selective acknowledgement",
		schema:  "SelectiveAck",
		message: &mcs.SelectiveAck{IDs: []string{"1", "", "3"}},
		empty:   &mcs.SelectiveAck{},
		text:    `id: ["1", "", "3"]`,
	},
	{
		name:   "a data message",
		schema: "DataMessageStanza",
		message: &mcs.DataMessage{
			RMQID: 1, ID: "id", From: "from", To: "to", Category: "cat", Token: "tok",
			AppData:           []mcs.KV{{Key: "k", Value: "v"}, {Key: "", Value: ""}, {Key: "long", Value: long(300)}},
			FromTrustedServer: true, PersistentID: "pid", StreamID: 10, LastStreamID: 11, RegID: "reg",
			DeviceUserID: -16, TTL: 86400, HasTTL: true, Sent: 13439778088, Queued: 19, Status: 20,
			RawData: []byte{0, 255}, ImmediateAck: true,
		},
		empty: &mcs.DataMessage{},
		text: `rmq_id: 1 id: "id" from: "from" to: "to" category: "cat" token: "tok"
			app_data {key: "k" value: "v"} app_data {key: "" value: ""} app_data {key: "long" value: "` + long(300) + `"}
			from_trusted_server: true persistent_id: "pid" stream_id: 10 last_stream_id_received: 11 reg_id: "reg"
			device_user_id: -16 ttl: 86400 sent: 13439778088 queued: 19 status: 20 raw_data: "\000\377" immediate_ack: true`,
	},
	{
		name:    "a data message with a ttl of zero and an empty body",
		schema:  "DataMessageStanza",
		message: &mcs.DataMessage{HasTTL: true, RawData: []byte{}},
		empty:   &mcs.DataMessage{},
		text:    `from: "" category: "" ttl: 0 raw_data: ""`,
	},
	{
		name:    "a stream error",
		schema:  "StreamErrorStanza",
		message: &mcs.StreamError{Type: "bad", Text: "worse"},
		empty:   &mcs.StreamError{},
		text:    `type: "bad" text: "worse"`,
	},
	{
		name:   "a check-in request",
		schema: "CheckinRequest",
		message: &mcs.CheckinRequest{
			AndroidID: 1<<63 - 1, Digest: mcs.EmptySettingsDigest, ClientType: mcs.ClientChromeBrowser,
			ChromeBuild:   &mcs.ChromeBuild{Platform: 3, Version: "156.0.8078.79", Channel: 5},
			SecurityToken: 1<<63 - 2, Version: mcs.CheckinVersion,
		},
		empty: &mcs.CheckinRequest{},
		text: `id: 9223372036854775807 digest: "1-da39a3ee5e6b4b0d3255bfef95601890afd80709"
			checkin {type: 3 chrome_build {platform: 3 chrome_version: "156.0.8078.79" channel: 5}}
			security_token: 9223372036854775806 version: 3 user_serial_number: 0`,
	},
	{
		name:   "a check-in response",
		schema: "CheckinResponse",
		message: &mcs.CheckinResponse{
			StatsOK: true, TimeMS: 1795304488123, Digest: "1-0", Settings: []mcs.Setting{{Name: "gcm_hostname", Value: "h"}},
			AndroidID: 5, SecurityToken: 6, SettingsDiff: new(bool),
		},
		empty: &mcs.CheckinResponse{},
		text: `stats_ok: true time_msec: 1795304488123 digest: "1-0" setting {name: "gcm_hostname" value: "h"}
			android_id: 5 security_token: 6 settings_diff: false`,
	},
}

func TestCodecAgreesWithTheReferenceImplementation(t *testing.T) {
	s := loadSchema(t)
	for _, row := range full {
		t.Run(row.name+" as written", func(t *testing.T) {
			got, err := s.parse(row.schema, row.message.Append(nil))
			require.NoError(t, err)
			want := s.fromText(t, row.schema, row.text)
			assert.True(t, proto.Equal(want, got), "want %v\ngot  %v", want, got)
		})
		t.Run(row.name+" as read", func(t *testing.T) {
			wire, err := proto.Marshal(s.fromText(t, row.schema, row.text))
			require.NoError(t, err)
			require.NoError(t, row.empty.Unmarshal(wire))
			assert.Equal(t, row.message, row.empty)
		})
	}
}

func TestRequiredFieldsAreWrittenEvenWhenEmpty(t *testing.T) {
	s := loadSchema(t)
	for name, m := range map[string]mcs.Appender{
		"LoginRequest":      &mcs.LoginRequest{Settings: []mcs.Setting{{}}, HeartbeatStat: &mcs.HeartbeatStat{}},
		"LoginResponse":     &mcs.LoginResponse{Settings: []mcs.Setting{{}}, Error: &mcs.ErrorInfo{}},
		"IqStanza":          &mcs.IqStanza{ExtensionID: mcs.ExtensionStreamAck},
		"DataMessageStanza": &mcs.DataMessage{AppData: []mcs.KV{{}}},
		"StreamErrorStanza": &mcs.StreamError{},
		"CheckinRequest":    &mcs.CheckinRequest{},
		"CheckinResponse":   &mcs.CheckinResponse{},
	} {
		_, err := s.parse(name, m.Append(nil)) // fails on a missing required field
		assert.NoError(t, err, name)
	}
}

func TestUnknownFieldsAreSkipped(t *testing.T) {
	unknown := []byte{
		0xf8, 0x3f, 0x01, // 1023, varint
		0xfa, 0x3f, 0x02, 'a', 'b', // 1023, bytes
		0xfd, 0x3f, 1, 2, 3, 4, // 1023, fixed32
		0xf9, 0x3f, 1, 2, 3, 4, 5, 6, 7, 8, // 1023, fixed64
		0xfb, 0x3f, 0x08, 0x01, 0xfc, 0x3f, // 1023, a group
		0x0d, 1, 2, 3, 4, // 1 in every message, of a type that no message here has
	}
	for _, row := range full {
		wire := append(row.message.Append(append([]byte(nil), unknown...)), unknown...)
		require.NoError(t, row.empty.Unmarshal(wire), row.name)
		assert.Equal(t, row.message, row.empty, row.name)
	}
}

func TestCutMessagesAreRefusedOrShorter(t *testing.T) {
	for _, row := range full {
		wire := row.message.Append(nil)
		for n := range wire {
			if err := row.empty.Unmarshal(wire[:n]); err != nil {
				require.ErrorIs(t, err, mcs.ErrBadFrame, row.name)
			}
		}
		var frameError *mcs.FrameError
		require.ErrorAs(t, row.empty.Unmarshal(append(wire, 0x0a)), &frameError, row.name)
		assert.Equal(t, "bad frame: cut or malformed field value", frameError.Error())
		require.ErrorIs(t, row.empty.Unmarshal(append(wire, 0xff)), mcs.ErrBadFrame, row.name)
		require.ErrorIs(t, row.empty.Unmarshal(append(wire, 0x02, 0x00)), mcs.ErrBadFrame, "field number 0")
	}
}

func TestNestedErrorsAreErrors(t *testing.T) {
	for _, m := range []message{
		&mcs.LoginRequest{}, &mcs.LoginResponse{}, &mcs.IqStanza{}, &mcs.DataMessage{},
		&mcs.CheckinRequest{}, &mcs.CheckinResponse{},
	} {
		failed := false
		for number := byte(1); number < 16; number++ {
			err := m.Unmarshal([]byte{number<<3 | 2, 1, 0xff})
			failed = failed || err != nil
		}
		assert.True(t, failed, "%T", m)
	}
}

func TestUnmarshalReusesSlicesAndForgetsOldValues(t *testing.T) {
	var m mcs.DataMessage
	first := (&mcs.DataMessage{From: "a", To: "b", HasTTL: true, AppData: []mcs.KV{{Key: "k", Value: "v"}}}).Append(nil)
	second := (&mcs.DataMessage{From: "c", AppData: []mcs.KV{{Key: "x", Value: "y"}}}).Append(nil)
	require.NoError(t, m.Unmarshal(first))
	array := &m.AppData[0]
	require.NoError(t, m.Unmarshal(second))
	assert.Same(t, array, &m.AppData[0])
	assert.Equal(t, mcs.DataMessage{From: "c", AppData: []mcs.KV{{Key: "x", Value: "y"}}}, m)
	assert.Zero(t, testing.AllocsPerRun(100, func() { _ = m.Unmarshal(first) }))
}

func TestGetFindsAPair(t *testing.T) {
	m := mcs.DataMessage{AppData: []mcs.KV{{Key: "a", Value: "1"}, {Key: "a", Value: "2"}}}
	v, ok := m.Get("a")
	assert.True(t, ok)
	assert.Equal(t, "1", v)
	_, ok = m.Get("b")
	assert.False(t, ok)
}

func long(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + i%26)
	}
	return string(b)
}
