package ccsclient

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/openccs/openccs/stanza"
)

// NowOrNever is the TTL of a message that the server delivers at once or not at all (CCS 5.2).
const NowOrNever = stanza.NowOrNever

// Priority says how soon a device should get a message. The zero value names none.
type Priority = stanza.Priority

// These are the priorities of CCS 2.3.
const (
	Normal = stanza.PriorityNormal
	High   = stanza.PriorityHigh
)

// Message is a downstream message, from an app server to a device (CCS 2.3). A field with the zero
// value is left out.
type Message struct {
	To        string // the registration token of the app on the device, or a topic
	Condition string // instead of To: the topics that the receiver must have

	// MessageID identifies the message in its answer. The client makes one if it is empty.
	MessageID string

	// Data is the payload. The keys are written in alphabetical order.
	Data map[string]string
	// Ordered is the payload instead of Data, with its keys in the given order.
	Ordered stanza.Data
	// Object is the payload instead of Data, as valid JSON text. It is written unchanged.
	Object stanza.Object

	// Notification is shown by the device. It must be valid JSON text.
	Notification stanza.Object

	CollapseKey       string
	Priority          Priority
	TTL               time.Duration // whole seconds; 0: four weeks, the longest; NowOrNever: none
	DelayWhileIdle    bool
	ReceiptRequested  bool // OnReceipt is called when the device has the message
	DryRun            bool
	ContentAvailable  bool
	MutableContent    bool
	RestrictedPackage string
}

// downstream returns the message in its wire form. It returns an error if Data or Ordered is no
// valid payload.
func (m *Message) downstream(id string) (stanza.Downstream, error) {
	d := stanza.Downstream{
		To: m.To, Condition: m.Condition, MessageID: id, CollapseKey: m.CollapseKey, Priority: m.Priority, TTL: m.TTL,
		DelayWhileIdle: m.DelayWhileIdle, ReceiptRequested: m.ReceiptRequested, DryRun: m.DryRun,
		ContentAvailable: m.ContentAvailable, MutableContent: m.MutableContent, RestrictedPackage: m.RestrictedPackage,
		Data: m.Object, Notification: m.Notification,
	}
	switch {
	case m.Object != "":
	case len(m.Ordered) > 0:
		if !m.Ordered.Valid() {
			return d, fmt.Errorf("ccsclient: message %q: Ordered is not valid", id)
		}
		d.Data = stanza.Object(stanza.AppendObject(nil, m.Ordered))
	case len(m.Data) > 0:
		text, err := json.Marshal(m.Data)
		if err != nil {
			return d, fmt.Errorf("ccsclient: message %q: %w", id, err)
		}
		d.Data = stanza.Object(text)
	}
	return d, nil
}

// Ack is the server's answer that it has accepted a message (CCS 3.2).
type Ack struct {
	MessageID      string
	RegistrationID string // the canonical ID if the message's token is superseded: use it from now on
}

// Nack is the server's refusal of a message (CCS 3.3).
type Nack struct {
	MessageID   string
	Code        stanza.Code
	Description string
}

// Error returns the code and the server's description.
func (n *Nack) Error() string {
	text := "ccsclient: message " + strconv.Quote(n.MessageID) + " refused: " + string(n.Code)
	if n.Description != "" {
		text += ": " + n.Description
	}
	return text
}

// Temporary reports whether the same message may be accepted later (CCS 3.3). The caller should
// wait before it sends the message again, longer each time.
func (n *Nack) Temporary() bool {
	switch n.Code {
	case stanza.ServiceUnavailable, stanza.InternalServerError, stanza.ConnectionDraining,
		stanza.DeviceMessageRateExceeded, stanza.TopicsMessageRateExceeded:
		return true
	}
	return false
}

// Reply is the result of a message that was sent.
type Reply struct {
	Ack       // MessageID is always set
	Err error // nil for an ack; a *Nack; or ErrClosed if the connection ended before an answer
}

// Upstream is a message from a device to an app server (CCS 3.6).
type Upstream struct {
	From      string // registration token of the app on the device
	MessageID string
	Category  string // the app
	TTL       time.Duration
	Data      stanza.Data
}

// Receipt tells an app server that a device has a message (CCS 3.5).
type Receipt struct {
	MessageID  string // message_id of the receipt itself
	OriginalID string // message_id of the message that the device has
	Token      string // registration token of the device
	Category   string // the app
	Status     string // MESSAGE_SENT_TO_DEVICE
	Sent       time.Time
	From       string      // gcm.googleapis.com
	Data       stanza.Data // the complete data of the receipt; the fields above are taken from it
}

// Control is a message about the connection itself (CCS 3.7).
type Control struct {
	Type      string // CONNECTION_DRAINING is the only known type
	MessageID string // "" if the server sends none
}

// Draining reports whether the server announces that it will close the connection.
func (c *Control) Draining() bool { return c.Type == string(stanza.ConnectionDraining) }

// Delivery is a message that a device gets over XMPP. It may come again, with the same MessageID.
type Delivery struct {
	From        string // sender ID
	MessageID   string
	Category    string // the app
	Subtype     string // subtype of the app's registration, "" for none
	CollapseKey string
	TTL         time.Duration
	Data        stanza.Data
}

// Deleted tells a device that the server has discarded messages, so that the app must synchronise
// (DEV 9.3).
type Deleted struct {
	From      string
	MessageID string
	Category  string // the app
	Subtype   string
	Total     int // number of messages
}

// SendError tells a device that one of its messages cannot be delivered (DEV 9.3).
type SendError struct {
	From        string // the address that the message was sent to
	MessageID   string // of the SendError
	OriginalID  string // message_id of the message
	Category    string // the app
	Code        string
	Description string
	Data        stanza.Data // the complete data of the error; the fields above are taken from it
}

func upstreamOf(o *stanza.Outbound) Upstream {
	return Upstream{From: o.From, MessageID: o.MessageID, Category: o.Category, TTL: o.TTL, Data: o.Data}
}

func receiptOf(o *stanza.Outbound) Receipt {
	r := Receipt{MessageID: o.MessageID, From: o.From, Category: o.Category, Data: o.Data}
	r.OriginalID, _ = strings.CutPrefix(o.MessageID, stanza.ReceiptPrefix)
	for key, value := range o.Data.All() {
		switch key {
		case "original_message_id":
			r.OriginalID = value
		case "device_registration_id":
			r.Token = value
		case "message_status":
			r.Status = value
		case "message_sent_timestamp":
			if ms, err := strconv.ParseInt(value, 10, 64); err == nil {
				r.Sent = time.UnixMilli(ms)
			}
		}
	}
	return r
}

func controlOf(o *stanza.Outbound) Control {
	return Control{Type: o.ControlType, MessageID: o.MessageID}
}

func deliveryOf(o *stanza.Outbound) Delivery {
	return Delivery{
		From: o.From, MessageID: o.MessageID, Category: o.Category, Subtype: o.Subtype, CollapseKey: o.CollapseKey, TTL: o.TTL, Data: o.Data,
	}
}

func deletedOf(o *stanza.Outbound) Deleted {
	d := Deleted{From: o.From, MessageID: o.MessageID, Category: o.Category, Subtype: o.Subtype}
	total, _ := o.Data.Get("total_deleted")
	d.Total, _ = strconv.Atoi(total)
	return d
}

func sendErrorOf(o *stanza.Outbound) SendError {
	e := SendError{From: o.From, MessageID: o.MessageID, Category: o.Category, Data: o.Data}
	e.OriginalID, _ = o.Data.Get("original_message_id")
	e.Code, _ = o.Data.Get("error")
	e.Description, _ = o.Data.Get("error_description")
	return e
}
