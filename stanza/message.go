package stanza

import "time"

// Type is the kind of a payload by its message_type (CCS 2.2, 3.1).
type Type uint8

// The types of payload. The first three come from app servers, the rest from the server.
const (
	TypeDownstream Type = iota // no message_type
	TypeAck
	TypeNack
	TypeUpstream // no message_type, from the server
	TypeReceipt
	TypeControl
	TypeDeletedMessages // to a device: the server threw messages away (DEV 9.3)
	TypeSendError       // to a device: a message of its own came to nothing (DEV 9.3)
)

// NowOrNever is the TTL of a message whose time_to_live is 0: it is delivered at once or not at all (CCS 5.2).
const NowOrNever = -1 * time.Second

// Downstream is a message from an app server to a device (CCS 2.3). Its strings share memory with the
// payload that it was decoded from, which nobody writes to any more.
type Downstream struct {
	To                string
	Condition         string
	MessageID         string
	CollapseKey       string
	Priority          Priority
	TTL               time.Duration // whole seconds; 0 for MaxTTL, NowOrNever for a time_to_live of 0
	DelayWhileIdle    bool
	ReceiptRequested  bool
	DryRun            bool
	ContentAvailable  bool
	MutableContent    bool
	RestrictedPackage string
	Data              Object // "" if absent
	Notification      Object // "" if absent
}

// Lifetime is how long the message may wait: from 0 to MaxTTL.
func (d *Downstream) Lifetime() time.Duration {
	switch {
	case d.TTL == 0:
		return MaxTTL
	case d.TTL < 0:
		return 0
	}
	return d.TTL
}

// Upstream is a message from a device to an app server (CCS 3.6).
type Upstream struct {
	From      string // registration token
	MessageID string
	Category  string        // the app
	TTL       time.Duration // whole seconds; where a device writes it, 0 names none and NowOrNever is a time_to_live of 0
	Data      Data
}

// Receipt tells an app server that a device has a message (CCS 3.5).
type Receipt struct {
	OriginalID string // message_id of the message; the receipt's own is "dr2:" and this
	Token      string // registration token of the device
	Category   string
	Sent       time.Time // to the millisecond
}

// Inbound is what an app server said: a downstream message, or an ack or nack of something sent to it.
type Inbound struct {
	Type       Type       // TypeDownstream, TypeAck or TypeNack
	HasTo      bool       // an ack without to is malformed (CCS 3.4)
	Downstream Downstream // of an ack or nack only To and MessageID
}

// Outbound is what a server said to an app server, or to a device on XMPP.
type Outbound struct {
	Type           Type // none of TypeDownstream
	From           string
	MessageID      string
	RegistrationID string // ack: the canonical token, if it is another
	Error          Code   // nack
	Description    string // nack
	ControlType    string // control
	Category       string // upstream, receipt; to a device always
	Subtype        string // to a device: of the app's registration
	CollapseKey    string // to a device
	TTL            time.Duration
	Data           Data // upstream, receipt; to a device
}
