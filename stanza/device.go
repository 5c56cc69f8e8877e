package stanza

import (
	"time"

	"github.com/openccs/openccs/ccs/domains"
)

// GCM does not define how a device uses XMPP instead of MCS. This package uses the forms of CCS 3.
// A message in either direction has the form of an upstream message (CCS 3.6). An ack or nack has
// the form of every ack and nack.

// These are the message types of DEV 9.3.
const (
	DeletedMessages = "deleted_messages" // data has total_deleted
	SendError       = "send_error"       // data has original_message_id, error and error_description
)

// ToDevice is a message to a device on XMPP.
type ToDevice struct {
	MessageType string // "" for an app server's message, DeletedMessages or SendError
	From        string // sender ID or authorised entity
	MessageID   string // the device acknowledges this ID
	Category    string // the app
	Subtype     string // of the app's registration, "" for none
	CollapseKey string // "" for none
	TTL         time.Duration
	Data        Data
}

// AppendToDevice appends a message to a device, whose bare address is to.
func AppendToDevice(b []byte, to string, m *ToDevice) []byte {
	b = append(b, `<message to="`...)
	b = AppendEscaped(b, to)
	b = append(b, `" from="`+domains.GCM+`" type="normal">`+openGCM+`{"data":`...)
	b = AppendObject(b, m.Data)
	b = appendField(b, `,"message_type":`, m.MessageType)
	b = append(b, `,"time_to_live":`...)
	b = appendSeconds(b, m.TTL)
	b = append(b, `,"from":`...)
	b = AppendJSONString(b, m.From)
	b = append(b, `,"message_id":`...)
	b = AppendJSONString(b, m.MessageID)
	b = append(b, `,"category":`...)
	b = AppendJSONString(b, m.Category)
	b = appendField(b, `,"subtype":`, m.Subtype)
	b = appendField(b, `,"collapse_key":`, m.CollapseKey)
	return append(b, `}`+closeGCM...)
}

// appendField appends an optional field. It appends nothing for the value "".
func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return AppendJSONString(append(b, name...), value)
}

// FromDevice is a payload from a device on XMPP: an upstream message, or an ack or nack of a
// message to it.
type FromDevice struct {
	Type     Type     // TypeUpstream, TypeAck or TypeNack
	HasTo    bool     // an ack without to is malformed (CCS 3.4)
	To       string   // the address of the sender; in an ack, the from of the acknowledged message
	HasTTL   bool     // the message names a time_to_live
	Upstream Upstream // From is "" unless the message names it; an ack or nack has only the MessageID
}

// DecodeFromDevice decodes the payload of a message from a device on XMPP. Its error is always an
// *Error; with an error, in holds the same fields as after DecodeInbound. DecodeFromDevice
// overwrites in. The strings share the payload's memory, but Data is a copy. It checks neither the
// size of data nor whether to is a sender.
func DecodeFromDevice(payload []byte, in *FromDevice) error {
	var d document
	err := d.parse(payload, false)
	*in = FromDevice{Type: d.messageType(TypeUpstream), HasTo: d.fields[fieldTo].kind == kindString, To: d.text(fieldTo)}
	m := &in.Upstream
	m.MessageID = d.messageID()
	switch {
	case err != nil:
		return err
	case m.MessageID == "":
		return invalidJSON(FaultSyntax, missingMessageID)
	case in.Type != TypeUpstream:
		return nil
	}
	if err := d.noMessageType(); err != nil {
		return err
	}
	for _, f := range [...]struct {
		name  string
		field field
		must  bool
		into  *string
	}{
		{"to", fieldTo, true, &in.To},
		{"category", fieldCategory, true, &m.Category},
		{"from", fieldFrom, false, &m.From},
	} {
		if d.has(f.field) && d.fields[f.field].kind != kindString {
			return d.typeError(f.name, "String", f.field)
		}
		if *f.into = d.text(f.field); f.must && *f.into == "" {
			return invalidJSON(FaultTarget, "Missing Required Field: "+f.name)
		}
	}
	in.HasTTL = d.has(fieldTTL)
	if m.TTL, err = d.ttl(); err != nil {
		return err
	}
	if !d.has(fieldData) {
		return nil
	}
	if d.fields[fieldData].kind != kindObject {
		return d.typeError("data", "Map", fieldData)
	}
	m.Data = d.object(fieldData).AppendData(nil)
	return nil
}

// AppendFromDevice appends a message in the form that a device writes. to is the address of the
// sender. Without From the server finds the registration itself.
func AppendFromDevice(b []byte, to string, m *Upstream) []byte {
	b = append(b, openRequest+`{"to":`...)
	b = AppendJSONString(b, to)
	b = append(b, `,"message_id":`...)
	b = AppendJSONString(b, m.MessageID)
	b = append(b, `,"category":`...)
	b = AppendJSONString(b, m.Category)
	b = appendField(b, `,"from":`, m.From)
	if m.TTL != 0 {
		b = append(b, `,"time_to_live":`...)
		b = appendSeconds(b, max(m.TTL, 0))
	}
	b = append(b, `,"data":`...)
	b = AppendObject(b, m.Data)
	return append(b, `}`+closeGCM...)
}
