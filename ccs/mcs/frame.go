package mcs

// Appender is a message that can append itself to a buffer.
type Appender interface {
	// Append appends the message's fields to b.
	Append(b []byte) []byte
}

// AppendFrame appends a whole frame: tag, size, message. A nil message is an empty one, as in a
// Close and a bare heartbeat.
func AppendFrame(b []byte, tag Tag, m Appender) []byte {
	b, mark := beginFrame(b, tag)
	if m != nil {
		b = m.Append(b)
	}
	return EndFrame(b, mark)
}

// AppendDataMessage is AppendFrame for the most frequent message. It never allocates beyond b.
func AppendDataMessage(b []byte, m *DataMessage) []byte {
	b, mark := BeginDataMessage(b, m)
	return EndFrame(b, mark)
}

// BeginDataMessage appends the head of a frame and all fields of m, for a caller that keeps
// app_data elsewhere. The caller calls AppendAppData for each pair and then EndFrame with the mark.
//
//	b, mark := mcs.BeginDataMessage(b, &m)
//	for k, v := range pairs {
//		b = mcs.AppendAppData(b, k, v)
//	}
//	b = mcs.EndFrame(b, mark)
func BeginDataMessage(b []byte, m *DataMessage) (_ []byte, mark int) {
	b, mark = beginFrame(b, TagDataMessageStanza)
	return m.Append(b), mark
}

// AppendAppData appends one app_data pair of a data message.
func AppendAppData(b []byte, key, value string) []byte {
	return KV{Key: key, Value: value}.append(b)
}

// EndFrame completes the frame that begins at mark.
func EndFrame(b []byte, mark int) []byte { return closeLen(b, mark) }

// AppendHeartbeat appends a frame with a HeartbeatPing or HeartbeatAck that acknowledges the
// received frames.
func AppendHeartbeat(b []byte, tag Tag, lastStreamID int32) []byte {
	b, mark := beginFrame(b, tag)
	m := Heartbeat{LastStreamID: lastStreamID}
	return EndFrame(m.Append(b), mark)
}

// AppendStreamAck appends a frame that only acknowledges (DEV 7.3).
func AppendStreamAck(b []byte, lastStreamID int32) []byte {
	b, mark := beginFrame(b, TagIqStanza)
	m := IqStanza{Type: IqSet, ExtensionID: ExtensionStreamAck, LastStreamID: lastStreamID}
	return EndFrame(m.Append(b), mark)
}

// AppendSelectiveAck appends a frame that acknowledges messages by their persistent IDs (DEV 7.2,
// 7.3).
func AppendSelectiveAck(b []byte, lastStreamID int32, ids []string) []byte {
	b, mark := beginFrame(b, TagIqStanza)
	m := IqStanza{
		Type:          IqSet,
		ExtensionID:   ExtensionSelectiveAck,
		ExtensionData: (&SelectiveAck{IDs: ids}).Append(nil),
		LastStreamID:  lastStreamID,
	}
	return EndFrame(m.Append(b), mark)
}

// LastStreamID returns the last_stream_id_received of any frame: "I have processed your frames 1
// to n". It is 0 for a message without the field or its value, and for a payload that is not a
// message.
func LastStreamID(tag Tag, payload []byte) int32 {
	var key uint64
	switch tag {
	case TagHeartbeatPing, TagHeartbeatAck:
		key = heartbeatLastStreamID
	case TagLoginResponse:
		key = loginRespLastStreamID
	case TagIqStanza:
		key = iqLastStreamID
	case TagDataMessageStanza:
		key = dataLastStreamID
	default:
		return 0
	}
	last := int32(0)
	f := fields{rest: payload}
	for f.next() {
		if f.key == key {
			last = f.int32()
		}
	}
	if f.err != nil {
		return 0
	}
	return last
}

func beginFrame(b []byte, tag Tag) (_ []byte, mark int) {
	return openLen(append(b, byte(tag)))
}
