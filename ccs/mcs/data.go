package mcs

// KV is one pair of a data message's app_data.
type KV struct {
	Key   string
	Value string
}

const (
	kvKey   = 1<<3 | wireBytes
	kvValue = 2<<3 | wireBytes
)

// append appends the pair as an app_data field.
func (kv KV) append(b []byte) []byte {
	b, at := openLen(append(b, byte(dataAppData)))
	b = appendStr(b, kvKey, kv.Key)
	b = appendStr(b, kvValue, kv.Value)
	return closeLen(b, at)
}

func (kv *KV) unmarshal(b []byte) error {
	f := fields{rest: b}
	for f.next() {
		switch f.key {
		case kvKey:
			kv.Key = f.str()
		case kvValue:
			kv.Value = f.str()
		}
	}
	return f.err
}

// SystemCategory is the category of messages between a client and its server, which no app gets.
// In such a stanza KeyIdleNotification in app_data says "true" or "false": whether the device is
// idle (DEV 9.4).
const (
	SystemCategory      = "com.google.android.gsf.gtalkservice"
	KeyIdleNotification = "IdleNotification"
)

// DataMessage is a DataMessageStanza: a message, in either direction (DEV 5, 9, 10).
type DataMessage struct {
	RMQID             int64
	ID                string
	From              string // required
	To                string
	Category          string // required; the app
	Token             string // collapse key
	AppData           []KV
	FromTrustedServer bool
	PersistentID      string // "" for a message that needs no acknowledgement
	StreamID          int32
	LastStreamID      int32 // last_stream_id_received
	RegID             string
	DeviceUserID      int64
	TTL               int32 // seconds
	HasTTL            bool  // the stanza has a ttl even if it is 0; Append writes any other TTL anyway
	Sent              int64 // Unix milliseconds downstream; upstream see DEV 10
	Queued            int32 // seconds
	Status            int64
	RawData           []byte // nil if absent, which is not the same as empty
	ImmediateAck      bool
}

const (
	dataRMQID             = 1<<3 | wireVarint
	dataID                = 2<<3 | wireBytes
	dataFrom              = 3<<3 | wireBytes
	dataTo                = 4<<3 | wireBytes
	dataCategory          = 5<<3 | wireBytes
	dataToken             = 6<<3 | wireBytes
	dataAppData           = 7<<3 | wireBytes
	dataFromTrustedServer = 8<<3 | wireVarint
	dataPersistentID      = 9<<3 | wireBytes
	dataStreamID          = 10<<3 | wireVarint
	dataLastStreamID      = 11<<3 | wireVarint
	dataRegID             = 13<<3 | wireBytes
	dataDeviceUserID      = 16<<3 | wireVarint
	dataTTL               = 17<<3 | wireVarint
	dataSent              = 18<<3 | wireVarint
	dataQueued            = 19<<3 | wireVarint
	dataStatus            = 20<<3 | wireVarint
	dataRawData           = 21<<3 | wireBytes
	dataImmediateAck      = 24<<3 | wireVarint
)

// Append appends the message's fields to b. app_data comes last, so that more pairs may follow.
func (m *DataMessage) Append(b []byte) []byte {
	b = appendIntIf(b, dataRMQID, m.RMQID)
	b = appendStrIf(b, dataID, m.ID)
	b = appendStr(b, dataFrom, m.From)
	b = appendStrIf(b, dataTo, m.To)
	b = appendStr(b, dataCategory, m.Category)
	b = appendStrIf(b, dataToken, m.Token)
	b = appendBoolIf(b, dataFromTrustedServer, m.FromTrustedServer)
	b = appendStrIf(b, dataPersistentID, m.PersistentID)
	b = appendIntIf(b, dataStreamID, int64(m.StreamID))
	b = appendIntIf(b, dataLastStreamID, int64(m.LastStreamID))
	b = appendStrIf(b, dataRegID, m.RegID)
	b = appendIntIf(b, dataDeviceUserID, m.DeviceUserID)
	if m.HasTTL || m.TTL != 0 {
		b = appendInt(b, dataTTL, int64(m.TTL))
	}
	b = appendIntIf(b, dataSent, m.Sent)
	b = appendIntIf(b, dataQueued, int64(m.Queued))
	b = appendIntIf(b, dataStatus, m.Status)
	if m.RawData != nil {
		b = appendBytes(b, dataRawData, m.RawData)
	}
	b = appendBoolIf(b, dataImmediateAck, m.ImmediateAck)
	for i := range m.AppData {
		b = m.AppData[i].append(b)
	}
	return b
}

// Unmarshal reads the message from b. The result shares b's memory, and AppData keeps its array.
func (m *DataMessage) Unmarshal(b []byte) error {
	*m = DataMessage{AppData: m.AppData[:0]}
	f := fields{rest: b}
	for f.next() {
		switch f.key {
		case dataRMQID:
			m.RMQID = f.int64()
		case dataID:
			m.ID = f.str()
		case dataFrom:
			m.From = f.str()
		case dataTo:
			m.To = f.str()
		case dataCategory:
			m.Category = f.str()
		case dataToken:
			m.Token = f.str()
		case dataAppData:
			var kv KV
			if err := kv.unmarshal(f.b); err != nil {
				return err
			}
			m.AppData = append(m.AppData, kv)
		case dataFromTrustedServer:
			m.FromTrustedServer = f.bool()
		case dataPersistentID:
			m.PersistentID = f.str()
		case dataStreamID:
			m.StreamID = f.int32()
		case dataLastStreamID:
			m.LastStreamID = f.int32()
		case dataRegID:
			m.RegID = f.str()
		case dataDeviceUserID:
			m.DeviceUserID = f.int64()
		case dataTTL:
			m.TTL, m.HasTTL = f.int32(), true
		case dataSent:
			m.Sent = f.int64()
		case dataQueued:
			m.Queued = f.int32()
		case dataStatus:
			m.Status = f.int64()
		case dataRawData:
			m.RawData = f.bytes()
		case dataImmediateAck:
			m.ImmediateAck = f.bool()
		}
	}
	return f.err
}

// Get returns the value of the first app_data pair with the key.
func (m *DataMessage) Get(key string) (string, bool) {
	for i := range m.AppData {
		if m.AppData[i].Key == key {
			return m.AppData[i].Value, true
		}
	}
	return "", false
}
