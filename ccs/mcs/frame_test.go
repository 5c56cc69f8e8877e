package mcs_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/openccs/openccs/ccs/mcs"
)

func TestFramesOfAnySizeComeBack(t *testing.T) {
	for _, n := range []int{0, 1, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 16370, 16380, 16383, 16384, 40000} {
		want := mcs.DataMessage{From: long(n), AppData: []mcs.KV{{Key: long(n), Value: long(n)}}}
		stream := mcs.AppendFrame([]byte{mcs.Version}, mcs.TagDataMessageStanza, &want)
		stream = mcs.AppendFrame(stream, mcs.TagClose, nil)
		assert.Equal(t, stream, mcs.AppendFrame(mcs.AppendDataMessage([]byte{mcs.Version}, &want), mcs.TagClose, nil))

		r := mcs.NewReader(bytes.NewReader(stream), mcs.MaxLogin)
		_, err := r.ReadVersion()
		require.NoError(t, err)
		tag, payload, err := r.Next()
		require.NoError(t, err, n)
		assert.Equal(t, mcs.TagDataMessageStanza, tag)
		var got mcs.DataMessage
		require.NoError(t, got.Unmarshal(payload))
		assert.Equal(t, want, got)
		tag, payload, err = r.Next()
		require.NoError(t, err)
		assert.Equal(t, mcs.TagClose, tag)
		assert.Empty(t, payload)
	}
}

func TestDataMessageTakesPairsFromElsewhere(t *testing.T) {
	head := mcs.DataMessage{From: "f", Category: "c", AppData: []mcs.KV{{Key: "subtype", Value: "s"}}}
	b, mark := mcs.BeginDataMessage([]byte("before"), &head)
	b = mcs.AppendAppData(b, "k", "v")
	b = mcs.AppendAppData(b, "l", long(500))
	b = mcs.EndFrame(b, mark)

	all := head
	all.AppData = append(all.AppData, mcs.KV{Key: "k", Value: "v"}, mcs.KV{Key: "l", Value: long(500)})
	assert.Equal(t, mcs.AppendDataMessage([]byte("before"), &all), b)
}

func TestWritingFramesDoesNotAllocate(t *testing.T) {
	m := mcs.DataMessage{From: "f", Category: "c", AppData: []mcs.KV{{Key: "k", Value: long(200)}}, RawData: []byte(long(200))}
	b := make([]byte, 0, 4096)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		out, mark := mcs.BeginDataMessage(b, &m)
		out = mcs.EndFrame(mcs.AppendAppData(out, "k", "v"), mark)
		out = mcs.AppendDataMessage(out, &m)
		out = mcs.AppendStreamAck(out, 17)
		out = mcs.AppendHeartbeat(out, mcs.TagHeartbeatAck, 17)
		_ = mcs.AppendPersistentID(out, 1, 2)
	}))
}

func TestAcknowledgementsAreWellFormed(t *testing.T) {
	s := loadSchema(t)
	rows := []struct {
		name, schema, text string
		frame              []byte
	}{
		{"a stream ack", "IqStanza", `type: 1 id: "" extension {id: 13 data: ""} last_stream_id_received: 3`, mcs.AppendStreamAck(nil, 3)},
		{"a selective ack", "IqStanza", `type: 1 id: "" extension {id: 12 data: "\n\001a\n\001b"} last_stream_id_received: 3`, mcs.AppendSelectiveAck(nil, 3, []string{"a", "b"})},
		{"a heartbeat", "Heartbeat", `last_stream_id_received: 3`, mcs.AppendHeartbeat(nil, mcs.TagHeartbeatPing, 3)},
		{"an empty heartbeat", "Heartbeat", ``, mcs.AppendHeartbeat(nil, mcs.TagHeartbeatPing, 0)},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			_, payload, err := mcs.NewReader(bytes.NewReader(row.frame), 100).Next()
			require.NoError(t, err)
			got, err := s.parse(row.schema, payload)
			require.NoError(t, err)
			assert.True(t, proto.Equal(s.fromText(t, row.schema, row.text), got), "%v", got)
		})
	}
}

func TestLastStreamIDIsFoundInEveryFrameThatHasIt(t *testing.T) {
	rows := []struct {
		tag  mcs.Tag
		m    mcs.Appender
		want int32
	}{
		{mcs.TagHeartbeatPing, &mcs.Heartbeat{StreamID: 3, LastStreamID: 7, Status: 9}, 7},
		{mcs.TagHeartbeatAck, &mcs.Heartbeat{LastStreamID: 7}, 7},
		{mcs.TagHeartbeatAck, &mcs.Heartbeat{}, 0},
		{mcs.TagLoginResponse, &mcs.LoginResponse{StreamID: 3, LastStreamID: 7}, 7},
		{mcs.TagIqStanza, &mcs.IqStanza{StreamID: 3, LastStreamID: 7, AccountID: 5}, 7},
		{mcs.TagDataMessageStanza, &mcs.DataMessage{StreamID: 3, LastStreamID: 7, TTL: 5}, 7},
		{mcs.TagLoginRequest, &mcs.LoginRequest{LastRMQID: 7}, 0},
		{mcs.TagStreamErrorStanza, &mcs.StreamError{}, 0},
	}
	for _, row := range rows {
		payload := row.m.Append(nil)
		assert.Equal(t, row.want, mcs.LastStreamID(row.tag, payload), row.tag)
		assert.Zero(t, mcs.LastStreamID(row.tag, append(payload, 0xff)), "a payload that is no message")
	}
	assert.Zero(t, mcs.LastStreamID(mcs.TagClose, nil))
}

func TestTagsHaveNames(t *testing.T) {
	assert.Equal(t, "HeartbeatPing", mcs.TagHeartbeatPing.String())
	assert.Equal(t, "StreamErrorStanza", mcs.TagStreamErrorStanza.String())
	assert.Equal(t, "TalkMetadata", mcs.TagTalkMetadata.String())
	assert.Equal(t, "tag 16", mcs.Tag(16).String())
}

func TestPersistentIDs(t *testing.T) {
	rows := []struct {
		micros int64
		id     uint64
		want   string
	}{
		{1400000000000000, 0xa1b2c3d4e5f60718, "0:1400000000000000%a1b2c3d4e5f60718"},
		{0, 0, "0:0000000000000000%0000000000000000"},
		{7, 1<<64 - 1, "0:0000000000000007%ffffffffffffffff"},
	}
	for _, row := range rows {
		got := mcs.PersistentID(row.micros, row.id)
		assert.Equal(t, row.want, got)
		assert.Equal(t, "x"+row.want, string(mcs.AppendPersistentID([]byte("x"), row.micros, row.id)))
		micros, id, ok := mcs.ParsePersistentID(got)
		assert.True(t, ok)
		assert.Equal(t, row.micros, micros)
		assert.Equal(t, row.id, id)
	}
	for _, foreign := range []string{
		"", "13439778088", "1:1400000000000000%a1b2c3d4e5f60718", "0:1400000000000000-a1b2c3d4e5f60718",
		"0:140000000000000x%a1b2c3d4e5f60718", "0:1400000000000000%a1b2c3d4e5f6071x",
		"0:1400000000000000%a1b2c3d4e5f607180", "0:-400000000000000%a1b2c3d4e5f60718",
	} {
		_, _, ok := mcs.ParsePersistentID(foreign)
		assert.False(t, ok, foreign)
	}
}

func ExampleReader() {
	stream := []byte{mcs.Version}
	stream = mcs.AppendFrame(stream, mcs.TagLoginRequest, &mcs.LoginRequest{ID: "chrome-156.0.8078.79", UseRMQ2: true})
	stream = mcs.AppendStreamAck(stream, 2)

	r := mcs.NewReader(bytes.NewReader(stream), mcs.MaxLogin)
	version, _ := r.ReadVersion()
	fmt.Println("version", version)
	for {
		tag, payload, err := r.Next()
		if err != nil {
			break
		}
		fmt.Println(tag, len(payload), mcs.LastStreamID(tag, payload))
	}
	// Output:
	// version 41
	// LoginRequest 32 0
	// IqStanza 12 2
}
