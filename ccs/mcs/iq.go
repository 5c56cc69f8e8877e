package mcs

// IqType is the type of an IqStanza.
type IqType int32

// These are the types of IqStanza.
const (
	IqGet    IqType = 0
	IqSet    IqType = 1
	IqResult IqType = 2
	IqError  IqType = 3
)

// These are the extensions that an IqStanza may carry (DEV 5).
const (
	ExtensionSelectiveAck = 12 // data is a SelectiveAck
	ExtensionStreamAck    = 13 // no data
)

// IqStanza carries an extension, which in practice is an acknowledgement (DEV 5, 7).
type IqStanza struct {
	RMQID         int64
	Type          IqType // required
	ID            string // required
	From          string
	To            string
	Error         *ErrorInfo
	ExtensionID   int32  // 0 if there is no extension
	ExtensionData []byte // the extension's data; never nil after Unmarshal
	PersistentID  string
	StreamID      int32
	LastStreamID  int32 // last_stream_id_received
	AccountID     int64
	Status        int64
}

const (
	iqRMQID        = 1<<3 | wireVarint
	iqType         = 2<<3 | wireVarint
	iqID           = 3<<3 | wireBytes
	iqFrom         = 4<<3 | wireBytes
	iqTo           = 5<<3 | wireBytes
	iqError        = 6<<3 | wireBytes
	iqExtension    = 7<<3 | wireBytes
	iqPersistentID = 8<<3 | wireBytes
	iqStreamID     = 9<<3 | wireVarint
	iqLastStreamID = 10<<3 | wireVarint
	iqAccountID    = 11<<3 | wireVarint
	iqStatus       = 12<<3 | wireVarint

	extensionID   = 1<<3 | wireVarint
	extensionData = 2<<3 | wireBytes
)

// Append appends the message's fields to b.
func (m *IqStanza) Append(b []byte) []byte {
	b = appendIntIf(b, iqRMQID, m.RMQID)
	b = appendInt(b, iqType, int64(m.Type))
	b = appendStr(b, iqID, m.ID)
	b = appendStrIf(b, iqFrom, m.From)
	b = appendStrIf(b, iqTo, m.To)
	if m.Error != nil {
		b = m.Error.append(b, iqError)
	}
	if m.ExtensionID != 0 {
		var at int
		b, at = openLen(append(b, byte(iqExtension)))
		b = appendInt(b, extensionID, int64(m.ExtensionID))
		b = appendBytes(b, extensionData, m.ExtensionData)
		b = closeLen(b, at)
	}
	b = appendStrIf(b, iqPersistentID, m.PersistentID)
	b = appendIntIf(b, iqStreamID, int64(m.StreamID))
	b = appendIntIf(b, iqLastStreamID, int64(m.LastStreamID))
	b = appendIntIf(b, iqAccountID, m.AccountID)
	return appendIntIf(b, iqStatus, m.Status)
}

// Unmarshal reads the message from b and shares b's memory.
func (m *IqStanza) Unmarshal(b []byte) error {
	*m = IqStanza{}
	f := fields{rest: b}
	for f.next() {
		switch f.key {
		case iqRMQID:
			m.RMQID = f.int64()
		case iqType:
			m.Type = IqType(f.int32())
		case iqID:
			m.ID = f.str()
		case iqFrom:
			m.From = f.str()
		case iqTo:
			m.To = f.str()
		case iqError:
			m.Error = new(ErrorInfo)
			f.nested(m.Error.unmarshal)
		case iqExtension:
			f.nested(m.unmarshalExtension)
		case iqPersistentID:
			m.PersistentID = f.str()
		case iqStreamID:
			m.StreamID = f.int32()
		case iqLastStreamID:
			m.LastStreamID = f.int32()
		case iqAccountID:
			m.AccountID = f.int64()
		case iqStatus:
			m.Status = f.int64()
		}
	}
	return f.err
}

func (m *IqStanza) unmarshalExtension(b []byte) error {
	m.ExtensionID, m.ExtensionData = 0, []byte{}
	f := fields{rest: b}
	for f.next() {
		switch f.key {
		case extensionID:
			m.ExtensionID = f.int32()
		case extensionData:
			m.ExtensionData = f.bytes()
		}
	}
	return f.err
}

// SelectiveAck is the data of extension 12: it acknowledges messages by their persistent ids.
type SelectiveAck struct {
	IDs []string
}

const selectiveAckID = 1<<3 | wireBytes

// Append appends the message's fields to b.
func (m *SelectiveAck) Append(b []byte) []byte {
	for _, id := range m.IDs {
		b = appendStr(b, selectiveAckID, id)
	}
	return b
}

// Unmarshal reads the message from b. The result shares b's memory, and IDs keeps its array.
func (m *SelectiveAck) Unmarshal(b []byte) error {
	m.IDs = m.IDs[:0]
	f := fields{rest: b}
	for f.next() {
		if f.key == selectiveAckID {
			m.IDs = append(m.IDs, f.str())
		}
	}
	return f.err
}

// ErrorInfo describes the failure of a login or a query.
type ErrorInfo struct {
	Code    int32 // required
	Message string
	Type    string
}

const (
	errorCode    = 1<<3 | wireVarint
	errorMessage = 2<<3 | wireBytes
	errorType    = 3<<3 | wireBytes
)

func (m *ErrorInfo) append(b []byte, key uint64) []byte {
	b, at := openLen(append(b, byte(key)))
	b = appendInt(b, errorCode, int64(m.Code))
	b = appendStrIf(b, errorMessage, m.Message)
	b = appendStrIf(b, errorType, m.Type)
	return closeLen(b, at)
}

func (m *ErrorInfo) unmarshal(b []byte) error {
	f := fields{rest: b}
	for f.next() {
		switch f.key {
		case errorCode:
			m.Code = f.int32()
		case errorMessage:
			m.Message = f.str()
		case errorType:
			m.Type = f.str()
		}
	}
	return f.err
}

// StreamError is a StreamErrorStanza. Clients only log it, so a Close or the end of the connection
// must follow (DEV 5).
type StreamError struct {
	Type string // required
	Text string
}

const (
	streamErrorType = 1<<3 | wireBytes
	streamErrorText = 2<<3 | wireBytes
)

// Append appends the message's fields to b.
func (m *StreamError) Append(b []byte) []byte {
	b = appendStr(b, streamErrorType, m.Type)
	return appendStrIf(b, streamErrorText, m.Text)
}

// Unmarshal reads the message from b and shares b's memory.
func (m *StreamError) Unmarshal(b []byte) error {
	*m = StreamError{}
	f := fields{rest: b}
	for f.next() {
		switch f.key {
		case streamErrorType:
			m.Type = f.str()
		case streamErrorText:
			m.Text = f.str()
		}
	}
	return f.err
}
