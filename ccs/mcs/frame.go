package mcs

// Appender is a message that can be written.
type Appender interface {
	// Append writes the message's fields behind b.
	Append(b []byte) []byte
}

// AppendFrame writes a whole frame: tag, size, message. A nil message is an empty one, which is all that
// a Close and a bare heartbeat are.
func AppendFrame(b []byte, tag Tag, m Appender) []byte {
	b, mark := beginFrame(b, tag)
	if m != nil {
		b = m.Append(b)
	}
	return EndFrame(b, mark)
}

// AppendDataMessage is AppendFrame for the message that matters most: it never allocates beyond b.
func AppendDataMessage(b []byte, m *DataMessage) []byte {
	b, mark := BeginDataMessage(b, m)
	return EndFrame(b, mark)
}

// BeginDataMessage writes the head of a frame and all that m has, for a caller whose app_data lies
// elsewhere: it goes on with AppendAppData for each pair and finishes with EndFrame, which takes the
// mark.
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

// AppendAppData writes one app_data pair of a data message.
func AppendAppData(b []byte, key, value string) []byte {
	return KV{Key: key, Value: value}.append(b)
}

// EndFrame completes the frame that was begun at mark.
func EndFrame(b []byte, mark int) []byte { return closeLen(b, mark) }

// AppendHeartbeat writes a frame with a HeartbeatPing or HeartbeatAck that says what was received.
func AppendHeartbeat(b []byte, tag Tag, lastStreamID int32) []byte {
	b, mark := beginFrame(b, tag)
	m := Heartbeat{LastStreamID: lastStreamID}
	return EndFrame(m.Append(b), mark)
}

// AppendStreamAck writes the frame that only acknowledges (DEV 7.3).
func AppendStreamAck(b []byte, lastStreamID int32) []byte {
	b, mark := beginFrame(b, TagIqStanza)
	m := IqStanza{Type: IqSet, ExtensionID: ExtensionStreamAck, LastStreamID: lastStreamID}
	return EndFrame(m.Append(b), mark)
}

// AppendSelectiveAck writes a frame that acknowledges messages by their persistent ids (DEV 7.2, 7.3).
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

// LastStreamID is the last_stream_id_received of any frame: "I have processed your frames 1 to n". It is
// 0 for a message that has none or no such field, and for a payload that is no message.
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
