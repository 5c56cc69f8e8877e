package stanza

import "time"

// Type is the kind of a payload by its message_type (CCS 2.2, 3.1).
type Type uint8

// These are the types of payload. The first three come from app servers, the rest from the server.
const (
	TypeDownstream Type = iota // no message_type
	TypeAck
	TypeNack
	TypeUpstream // no message_type, from the server
	TypeReceipt
	TypeControl
	TypeDeletedMessages // to a device: the server discarded messages (DEV 9.3)
	TypeSendError       // to a device: its own message failed (DEV 9.3)
)

// NowOrNever is the TTL of a message whose time_to_live is 0. Such a message is delivered at once
// or not at all (CCS 5.2).
const NowOrNever = -1 * time.Second

// Downstream is a message from an app server to a device (CCS 2.3). Its strings share memory with
// the decoded payload, which no code writes to any more.
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

// Lifetime returns how long the message may wait: from 0 to MaxTTL.
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
	TTL       time.Duration // whole seconds; a device may send 0 for none and NowOrNever for 0
	Data      Data
}

// Receipt tells an app server that a device has a message (CCS 3.5).
type Receipt struct {
	OriginalID string // message_id of the message; that of the receipt adds the prefix "dr2:"
	Token      string // registration token of the device
	Category   string
	Sent       time.Time // to the millisecond
}

// Inbound is a payload from an app server: a downstream message, or an ack or nack of a message to
// it.
type Inbound struct {
	Type       Type       // TypeDownstream, TypeAck or TypeNack
	HasTo      bool       // an ack without to is malformed (CCS 3.4)
	Downstream Downstream // an ack or nack has only To and MessageID
}

// Outbound is a payload from a server to an app server, or to a device on XMPP.
type Outbound struct {
	Type           Type // never TypeDownstream
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
