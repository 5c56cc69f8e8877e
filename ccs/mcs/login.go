package mcs

// AuthServiceAndroidID is the only value of LoginRequest.AuthService. It says that user and token
// come from a check-in.
const AuthServiceAndroidID = 2

// Setting is a name and a value in a login or in the answer to a check-in.
type Setting struct {
	Name  string // required
	Value string // required
}

const (
	settingName  = 1<<3 | wireBytes
	settingValue = 2<<3 | wireBytes
)

func appendSettings(b []byte, key uint64, settings []Setting) []byte {
	for _, s := range settings {
		var at int
		b, at = openLen(append(b, byte(key)))
		b = appendStr(b, settingName, s.Name)
		b = appendStr(b, settingValue, s.Value)
		b = closeLen(b, at)
	}
	return b
}

func (s *Setting) unmarshal(b []byte) error {
	f := fields{rest: b}
	for f.next() {
		switch f.key {
		case settingName:
			s.Name = f.str()
		case settingValue:
			s.Value = f.str()
		}
	}
	return f.err
}

// HeartbeatStat holds a device's report about its own heartbeat at login.
type HeartbeatStat struct {
	IP         string // required
	Timeout    bool   // required
	IntervalMS int32  // required
}

const (
	heartbeatStatIP         = 1<<3 | wireBytes
	heartbeatStatTimeout    = 2<<3 | wireVarint
	heartbeatStatIntervalMS = 3<<3 | wireVarint
)

func (m *HeartbeatStat) unmarshal(b []byte) error {
	f := fields{rest: b}
	for f.next() {
		switch f.key {
		case heartbeatStatIP:
			m.IP = f.str()
		case heartbeatStatTimeout:
			m.Timeout = f.bool()
		case heartbeatStatIntervalMS:
			m.IntervalMS = f.int32()
		}
	}
	return f.err
}

// These limits bound how much Unmarshal keeps of a LoginRequest's lists. An element may take two
// bytes on the wire and many times that in memory, and the peer is not authenticated yet.
const (
	MaxListed   = 10_000 // maximum number of messages that a server leaves unacknowledged
	maxSettings = 100
)

// LoginRequest is a device's first frame (DEV 5, 6). Unmarshal skips its client events.
type LoginRequest struct {
	ID                    string // required; "chrome-<version>" or "android-<SDK level>"
	Domain                string // required; "mcs.android.com"
	User                  string // required; android id, decimal
	Resource              string // required; android id, decimal
	AuthToken             string // required; security token, decimal. Never log it
	DeviceID              string
	LastRMQID             int64
	Settings              []Setting // Unmarshal keeps the first maxSettings
	ReceivedPersistentIDs []string  // Unmarshal keeps the last MaxListed, or a few more
	AdaptiveHeartbeat     bool
	HeartbeatStat         *HeartbeatStat // nil if absent
	UseRMQ2               bool
	AccountID             int64
	AuthService           int32 // AuthServiceAndroidID, or 0 if absent
	NetworkType           int32
	Status                int64
}

const (
	loginID                    = 1<<3 | wireBytes
	loginDomain                = 2<<3 | wireBytes
	loginUser                  = 3<<3 | wireBytes
	loginResource              = 4<<3 | wireBytes
	loginAuthToken             = 5<<3 | wireBytes
	loginDeviceID              = 6<<3 | wireBytes
	loginLastRMQID             = 7<<3 | wireVarint
	loginSetting               = 8<<3 | wireBytes
	loginReceivedPersistentIDs = 10<<3 | wireBytes
	loginAdaptiveHeartbeat     = 12<<3 | wireVarint
	loginHeartbeatStat         = 13<<3 | wireBytes
	loginUseRMQ2               = 14<<3 | wireVarint
	loginAccountID             = 15<<3 | wireVarint
	loginAuthService           = 16<<3 | wireVarint
	loginNetworkType           = 17<<3 | wireVarint
	loginStatus                = 18<<3 | wireVarint
)

// Append appends the message's fields to b.
func (m *LoginRequest) Append(b []byte) []byte {
	b = appendStr(b, loginID, m.ID)
	b = appendStr(b, loginDomain, m.Domain)
	b = appendStr(b, loginUser, m.User)
	b = appendStr(b, loginResource, m.Resource)
	b = appendStr(b, loginAuthToken, m.AuthToken)
	b = appendStrIf(b, loginDeviceID, m.DeviceID)
	b = appendIntIf(b, loginLastRMQID, m.LastRMQID)
	b = appendSettings(b, loginSetting, m.Settings)
	for _, id := range m.ReceivedPersistentIDs {
		b = appendStr(b, loginReceivedPersistentIDs, id)
	}
	b = appendBoolIf(b, loginAdaptiveHeartbeat, m.AdaptiveHeartbeat)
	if s := m.HeartbeatStat; s != nil {
		var at int
		b, at = openLen(append(b, byte(loginHeartbeatStat)))
		b = appendStr(b, heartbeatStatIP, s.IP)
		b = appendBool(b, heartbeatStatTimeout, s.Timeout)
		b = appendInt(b, heartbeatStatIntervalMS, int64(s.IntervalMS))
		b = closeLen(b, at)
	}
	b = appendBoolIf(b, loginUseRMQ2, m.UseRMQ2)
	b = appendIntIf(b, loginAccountID, m.AccountID)
	b = appendIntIf(b, loginAuthService, int64(m.AuthService))
	b = appendIntIf(b, loginNetworkType, int64(m.NetworkType))
	return appendIntIf(b, loginStatus, m.Status)
}

// Unmarshal reads the message from b. The result shares b's memory, and its slices keep their
// arrays.
func (m *LoginRequest) Unmarshal(b []byte) error {
	*m = LoginRequest{Settings: m.Settings[:0], ReceivedPersistentIDs: m.ReceivedPersistentIDs[:0]}
	f := fields{rest: b}
	for f.next() {
		switch f.key {
		case loginID:
			m.ID = f.str()
		case loginDomain:
			m.Domain = f.str()
		case loginUser:
			m.User = f.str()
		case loginResource:
			m.Resource = f.str()
		case loginAuthToken:
			m.AuthToken = f.str()
		case loginDeviceID:
			m.DeviceID = f.str()
		case loginLastRMQID:
			m.LastRMQID = f.int64()
		case loginSetting:
			var s Setting
			f.nested(s.unmarshal)
			if len(m.Settings) < maxSettings {
				m.Settings = append(m.Settings, s)
			}
		case loginReceivedPersistentIDs:
			if ids := m.ReceivedPersistentIDs; len(ids) == MaxListed+MaxListed/8 {
				m.ReceivedPersistentIDs = ids[:copy(ids, ids[MaxListed/8:])]
			}
			m.ReceivedPersistentIDs = append(m.ReceivedPersistentIDs, f.str())
		case loginAdaptiveHeartbeat:
			m.AdaptiveHeartbeat = f.bool()
		case loginHeartbeatStat:
			m.HeartbeatStat = new(HeartbeatStat)
			f.nested(m.HeartbeatStat.unmarshal)
		case loginUseRMQ2:
			m.UseRMQ2 = f.bool()
		case loginAccountID:
			m.AccountID = f.int64()
		case loginAuthService:
			m.AuthService = f.int32()
		case loginNetworkType:
			m.NetworkType = f.int32()
		case loginStatus:
			m.Status = f.int64()
		}
	}
	return f.err
}

// HeartbeatConfig tells a device how often to send a heartbeat. It overrides the device's own wish
// (DEV 8).
type HeartbeatConfig struct {
	UploadStat bool
	IP         string
	IntervalMS int32
}

const (
	heartbeatConfigUploadStat = 1<<3 | wireVarint
	heartbeatConfigIP         = 2<<3 | wireBytes
	heartbeatConfigIntervalMS = 3<<3 | wireVarint
)

func (m *HeartbeatConfig) unmarshal(b []byte) error {
	f := fields{rest: b}
	for f.next() {
		switch f.key {
		case heartbeatConfigUploadStat:
			m.UploadStat = f.bool()
		case heartbeatConfigIP:
			m.IP = f.str()
		case heartbeatConfigIntervalMS:
			m.IntervalMS = f.int32()
		}
	}
	return f.err
}

// LoginResponse is a server's first frame (DEV 5, 6).
type LoginResponse struct {
	ID              string // required; the ID of the request
	JID             string
	Error           *ErrorInfo // nil on success: microG treats any Error as failure
	Settings        []Setting
	StreamID        int32
	LastStreamID    int32            // 1 (last_stream_id_received): the device forgets the listed IDs
	HeartbeatConfig *HeartbeatConfig // nil if absent
	ServerTimestamp int64            // Unix milliseconds
}

const (
	loginRespID              = 1<<3 | wireBytes
	loginRespJID             = 2<<3 | wireBytes
	loginRespError           = 3<<3 | wireBytes
	loginRespSetting         = 4<<3 | wireBytes
	loginRespStreamID        = 5<<3 | wireVarint
	loginRespLastStreamID    = 6<<3 | wireVarint
	loginRespHeartbeatConfig = 7<<3 | wireBytes
	loginRespServerTimestamp = 8<<3 | wireVarint
)

// Append appends the message's fields to b.
func (m *LoginResponse) Append(b []byte) []byte {
	b = appendStr(b, loginRespID, m.ID)
	b = appendStrIf(b, loginRespJID, m.JID)
	if m.Error != nil {
		b = m.Error.append(b, loginRespError)
	}
	b = appendSettings(b, loginRespSetting, m.Settings)
	b = appendIntIf(b, loginRespStreamID, int64(m.StreamID))
	b = appendIntIf(b, loginRespLastStreamID, int64(m.LastStreamID))
	if c := m.HeartbeatConfig; c != nil {
		var at int
		b, at = openLen(append(b, byte(loginRespHeartbeatConfig)))
		b = appendBoolIf(b, heartbeatConfigUploadStat, c.UploadStat)
		b = appendStrIf(b, heartbeatConfigIP, c.IP)
		b = appendIntIf(b, heartbeatConfigIntervalMS, int64(c.IntervalMS))
		b = closeLen(b, at)
	}
	return appendIntIf(b, loginRespServerTimestamp, m.ServerTimestamp)
}

// Unmarshal reads the message from b. The result shares b's memory, and Settings keeps its array.
func (m *LoginResponse) Unmarshal(b []byte) error {
	*m = LoginResponse{Settings: m.Settings[:0]}
	f := fields{rest: b}
	for f.next() {
		switch f.key {
		case loginRespID:
			m.ID = f.str()
		case loginRespJID:
			m.JID = f.str()
		case loginRespError:
			m.Error = new(ErrorInfo)
			f.nested(m.Error.unmarshal)
		case loginRespSetting:
			var s Setting
			f.nested(s.unmarshal)
			m.Settings = append(m.Settings, s)
		case loginRespStreamID:
			m.StreamID = f.int32()
		case loginRespLastStreamID:
			m.LastStreamID = f.int32()
		case loginRespHeartbeatConfig:
			m.HeartbeatConfig = new(HeartbeatConfig)
			f.nested(m.HeartbeatConfig.unmarshal)
		case loginRespServerTimestamp:
			m.ServerTimestamp = f.int64()
		}
	}
	return f.err
}
