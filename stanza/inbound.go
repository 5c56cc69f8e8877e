package stanza

import (
	"fmt"
	"strings"
	"time"

	"github.com/openccs/openccs/ccs/payload"
)

// missingMessageID is the documented text. It ends in a backslash and an n, as documented (CCS
// 3.3).
const missingMessageID = `Missing Required Field: message_id\n`

// DecodeInbound decodes the payload of a message from an app server (CCS 2.2 to 2.6, 3.4). Its
// error is always an *Error. rules may be nil. DecodeInbound overwrites in, and the strings share
// the payload's memory.
//
// With an error, in still holds the type, message_id, to and condition if they come before the
// invalid JSON. If the message_id is "", only a stanza error 400 can answer; otherwise a nack does
// (CCS 3.3). An ack without a to is no error here; it has HasTo false.
func DecodeInbound(text []byte, rules *Rules, in *Inbound) error {
	var usual Rules
	if rules == nil {
		rules = &usual
	}
	var d document
	err := d.parse(text, rules.StrictDataKeys)

	*in = Inbound{HasTo: d.fields[fieldTo].kind == kindString}
	m := &in.Downstream
	m.MessageID = d.messageID()
	m.To = d.text(fieldTo)
	if in.Type = d.messageType(TypeDownstream); in.Type == TypeDownstream {
		m.Condition = d.text(fieldCondition)
	}
	switch {
	case err != nil:
		return err
	case m.MessageID == "":
		return invalidJSON(FaultSyntax, missingMessageID)
	case in.Type != TypeDownstream:
		return nil
	}
	if err := d.noMessageType(); err != nil {
		return err
	}
	if err := d.target(m); err != nil {
		return err
	}
	if err := d.options(m, rules); err != nil {
		return err
	}
	return d.payload(m, rules)
}

// messageType returns TypeAck or TypeNack if the payload says so, and otherwise the given type,
// which is that of a message from this peer.
func (d *document) messageType(otherwise Type) Type {
	switch d.text(fieldMessageType) {
	case "ack":
		return TypeAck
	case "nack":
		return TypeNack
	}
	return otherwise
}

// noMessageType refuses a message that names a type. Only acks and nacks have one.
func (d *document) noMessageType() error {
	switch {
	case d.has(fieldMessageType) && d.fields[fieldMessageType].kind != kindString:
		return d.typeError("message_type", "String", fieldMessageType)
	case d.text(fieldMessageType) != "":
		return &Error{Code: InvalidJSON, Fault: FaultField, Description: "InvalidJson: INVALID_MESSAGE_TYPE : " + fmt.Sprintf("Unknown message_type: %s", d.excerpt(d.fields[fieldMessageType]))}
	}
	return nil
}

// target checks the recipient of the message.
func (d *document) target(m *Downstream) error {
	switch {
	case d.has(fieldRegistrationIDs):
		return invalidJSON(FaultField, `Unsupported field: registration_ids. Send one message to each "to"`)
	case d.has(fieldTo) && d.fields[fieldTo].kind != kindString:
		return d.typeError("to", "String", fieldTo)
	case d.has(fieldCondition) && d.fields[fieldCondition].kind != kindString:
		return d.typeError("condition", "String", fieldCondition)
	case m.To != "" && m.Condition != "":
		return invalidJSON(FaultField, `Must use either "to" field or "condition", not both`)
	case m.To == "" && m.Condition == "":
		return invalidJSON(FaultTarget, "Missing Required Field: to")
	}
	return nil
}

// options reads the fields of CCS 2.3 that come after the target.
func (d *document) options(m *Downstream, rules *Rules) error {
	for _, o := range [...]struct {
		name  string
		field field
		into  *bool
	}{
		{"delay_while_idle", fieldDelayWhileIdle, &m.DelayWhileIdle},
		{"delivery_receipt_requested", fieldReceiptRequested, &m.ReceiptRequested},
		{"dry_run", fieldDryRun, &m.DryRun},
		{"content_available", fieldContentAvailable, &m.ContentAvailable},
		{"mutable_content", fieldMutableContent, &m.MutableContent},
	} {
		if !d.has(o.field) {
			continue
		}
		switch s := d.string(d.fields[o.field]); {
		case d.fields[o.field].kind != kindBoolean && !(rules.LenientBooleans && (s == "true" || s == "false")):
			return d.typeError(o.name, "Boolean", o.field)
		default:
			*o.into = s == "true"
		}
	}
	if d.has(fieldCollapseKey) {
		if d.fields[fieldCollapseKey].kind != kindString {
			return d.typeError("collapse_key", "String", fieldCollapseKey)
		}
		m.CollapseKey = d.text(fieldCollapseKey)
		if len(m.CollapseKey) > payload.MaxCollapseKey {
			return invalidJSON(FaultCollapseKey, fmt.Sprintf("collapse_key is longer than %d bytes", payload.MaxCollapseKey))
		}
	}
	if d.has(fieldRestrictedPackage) {
		if d.fields[fieldRestrictedPackage].kind != kindString {
			return d.typeError("restricted_package_name", "String", fieldRestrictedPackage)
		}
		m.RestrictedPackage = d.text(fieldRestrictedPackage)
	}
	if err := d.priority(m); err != nil {
		return err
	}
	var err error
	if m.TTL, err = d.ttl(); err == nil && m.TTL == 0 {
		m.TTL = NowOrNever
	}
	return err
}

func (d *document) priority(m *Downstream) error {
	v := d.fields[fieldPriority]
	if v.kind <= kindNull {
		return nil
	}
	if v.kind != kindString && v.kind != kindNumber {
		return d.typeError("priority", "String", fieldPriority)
	}
	p, ok := payload.ParsePriority(d.string(v))
	if !ok {
		return invalidJSON(FaultPriority, fmt.Sprintf(`Invalid value (%s) for "priority": must be "normal" or "high"`, d.excerpt(v)))
	}
	m.Priority = p
	return nil
}

// ttl reads time_to_live: a number, or a string of digits as in Google's own samples (CCS 9 row
// 6).
func (d *document) ttl() (time.Duration, error) {
	v := d.fields[fieldTTL]
	if v.kind <= kindNull {
		return MaxTTL, nil
	}
	s := d.string(v)
	if v.kind != kindNumber && (v.kind != kindString || !isDigits(strings.TrimPrefix(s, "-"))) {
		return 0, d.typeError("time_to_live", "Number", fieldTTL)
	}
	ttl, ok := payload.ParseTTL(s)
	if !ok {
		return 0, invalidJSON(FaultTTL, fmt.Sprintf(`Invalid value (%s) for "time_to_live": must be between 0 and "%d"`,
			d.excerpt(v), MaxTTL/time.Second))
	}
	return ttl, nil
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// payload reads data and notification.
func (d *document) payload(m *Downstream, rules *Rules) error {
	if d.has(fieldData) {
		if d.fields[fieldData].kind != kindObject {
			return d.typeError("data", "Map", fieldData)
		}
		if d.hasBad {
			return invalidJSON(FaultDataKey, fmt.Sprintf(`"data" must not have the key %q`, d.excerpt(d.badKey)))
		}
		m.Data = d.object(fieldData)
	}
	if d.has(fieldNotification) {
		if d.fields[fieldNotification].kind != kindObject {
			return d.typeError("notification", "Map", fieldNotification)
		}
		if d.badNote.name != "" {
			return d.typeErrorOf("notification."+d.badNote.name, d.badNote.java, d.note)
		}
		m.Notification = d.object(fieldNotification)
	}
	limit := rules.Limit(m.Condition != "" || strings.HasPrefix(m.To, payload.TopicPrefix))
	if d.size > limit {
		return invalidJSON(FaultSize, fmt.Sprintf("The payload has %d bytes, at most %d are allowed", d.size, limit))
	}
	return nil
}

func (d *document) object(f field) Object {
	v := d.fields[f]
	return Object(stringOf(d.b[v.start:v.end]))
}

// typeError returns the documented refusal of a value of the wrong type.
func (d *document) typeError(name, javaType string, f field) *Error {
	return d.typeErrorOf(name, javaType, d.fields[f])
}

func (d *document) typeErrorOf(name, javaType string, v value) *Error {
	pkg := "java.lang."
	if javaType == "Map" {
		pkg = "java.util."
	}
	err := invalidJSON(FaultType, fmt.Sprintf("Field %q must be a JSON %s%s: %s", name, pkg, javaType, d.excerpt(v)))
	err.Field = name
	return err
}

// faultNames are the names of faults in the documented texts (CCS 3.3).
var faultNames = [...]string{
	FaultTarget: "JSON_PARSING_ERROR", FaultSyntax: "JSON_PARSING_ERROR", FaultType: "JSON_TYPE_ERROR", FaultField: "JSON_PARSING_ERROR",
	FaultSize: "MESSAGE_TOO_BIG", FaultDataKey: "INVALID_DATA_KEY", FaultTTL: "INVALID_TTL",
	FaultCollapseKey: "INVALID_COLLAPSE_KEY", FaultPriority: "INVALID_PRIORITY",
}

// invalidJSON returns the refusal of a payload, with a text in the documented form (CCS 3.3).
func invalidJSON(fault Fault, text string) *Error {
	return &Error{Code: InvalidJSON, Description: "InvalidJson: " + faultNames[fault] + " : " + text, Fault: fault, Text: text}
}
