package mcs

// Heartbeat is a HeartbeatPing or a HeartbeatAck, depending on the tag (DEV 5, 8).
type Heartbeat struct {
	StreamID     int32
	LastStreamID int32 // last_stream_id_received
	Status       int64 // copied from a ping into its ack
}

const (
	heartbeatStreamID     = 1<<3 | wireVarint
	heartbeatLastStreamID = 2<<3 | wireVarint
	heartbeatStatus       = 3<<3 | wireVarint
)

// Append appends the message's fields to b.
func (m *Heartbeat) Append(b []byte) []byte {
	b = appendIntIf(b, heartbeatStreamID, int64(m.StreamID))
	b = appendIntIf(b, heartbeatLastStreamID, int64(m.LastStreamID))
	return appendIntIf(b, heartbeatStatus, m.Status)
}

// Unmarshal reads the message from b.
func (m *Heartbeat) Unmarshal(b []byte) error {
	*m = Heartbeat{}
	f := fields{rest: b}
	for f.next() {
		switch f.key {
		case heartbeatStreamID:
			m.StreamID = f.int32()
		case heartbeatLastStreamID:
			m.LastStreamID = f.int32()
		case heartbeatStatus:
			m.Status = f.int64()
		}
	}
	return f.err
}
