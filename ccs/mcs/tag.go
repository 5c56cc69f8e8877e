package mcs

import "strconv"

// Version is the protocol version of this package. Each side sends it once, before its first frame
// (DEV 4).
const Version = 41

// These are size limits for a Reader.
const (
	// MaxFrame is the default limit for every frame except a login. Devices stay within 4 KiB (DEV
	// 10), and a Web Push body of 4 KiB with its fields still fits.
	MaxFrame = 16 << 10
	// MaxLogin is the limit for a connection's first frame. A LoginRequest lists every message
	// that the device received without knowing that its acknowledgement arrived (DEV 4, 6). That
	// may be all of the 10,000 messages that a server leaves unacknowledged, at 37 bytes each.
	MaxLogin = 512 << 10
)

// Tag says which message a frame holds (DEV 4).
type Tag uint8

// These are the tags. The list includes those that DEV 4 marks as never used, so that a log can
// name them.
const (
	TagHeartbeatPing       Tag = 0
	TagHeartbeatAck        Tag = 1
	TagLoginRequest        Tag = 2
	TagLoginResponse       Tag = 3
	TagClose               Tag = 4
	TagMessageStanza       Tag = 5 // never used
	TagPresenceStanza      Tag = 6 // never used
	TagIqStanza            Tag = 7
	TagDataMessageStanza   Tag = 8
	TagBatchPresenceStanza Tag = 9 // never used
	TagStreamErrorStanza   Tag = 10
	TagHTTPRequest         Tag = 11 // never used
	TagHTTPResponse        Tag = 12 // never used
	TagBindAccountRequest  Tag = 13 // never used
	TagBindAccountResponse Tag = 14 // never used
	TagTalkMetadata        Tag = 15 // never used
)

// maxTag is the last tag of DEV 4. A greater one means that the stream is not MCS.
const maxTag = TagTalkMetadata

var tagNames = [...]string{
	"HeartbeatPing", "HeartbeatAck", "LoginRequest", "LoginResponse", "Close", "MessageStanza",
	"PresenceStanza", "IqStanza", "DataMessageStanza", "BatchPresenceStanza", "StreamErrorStanza",
	"HttpRequest", "HttpResponse", "BindAccountRequest", "BindAccountResponse", "TalkMetadata",
}

// String returns the name of the message, such as "IqStanza".
func (t Tag) String() string {
	if int(t) < len(tagNames) {
		return tagNames[t]
	}
	return "tag " + strconv.Itoa(int(t))
}
