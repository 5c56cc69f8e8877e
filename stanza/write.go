package stanza

import (
	"encoding/binary"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/openccs/openccs/ccs/domains"
)

// The stanzas of CCS 3 begin and end with exactly these bytes, because clients search for them. An
// ack, nack or control has no attributes and the prefix data. A message from a device has three
// attributes and no prefix (3.1).
const (
	openReply  = `<message><data:gcm xmlns:data="google:mobile:data">`
	closeReply = `</data:gcm></message>`

	openGCM  = `<gcm xmlns="google:mobile:data">`
	closeGCM = `</gcm></message>`

	openRequest = `<message id="">` + openGCM // of an app server, 2.1

	fromDevices = `" from="devices@` + domains.GCM + `" type="normal">` + openGCM
	stanzasAttr = ` xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"`
)

// AppendAck appends the acknowledgement of a downstream message. from is the to of that message.
// registrationID is the canonical token if that is another, else "" (CCS 3.2).
func AppendAck(b []byte, from, messageID, registrationID string) []byte {
	b = append(b, openReply+`{"message_type":"ack","from":`...)
	b = AppendJSONString(b, from)
	b = append(b, `,"message_id":`...)
	b = AppendJSONString(b, messageID)
	if registrationID != "" {
		b = append(b, `,"registration_id":`...)
		b = AppendJSONString(b, registrationID)
	}
	return append(b, `}`+closeReply...)
}

// AppendOldNack appends the refusal of a message in its first form, which had no description
// (CCS 3.3, CCS 9 no. 8).
func AppendOldNack(b []byte, from, messageID, text string) []byte {
	b = append(b, openReply+`{"message_type":"nack","from":`...)
	b = AppendJSONString(b, from)
	b = append(b, `,"message_id":`...)
	b = AppendJSONString(b, messageID)
	b = append(b, `,"error":`...)
	b = AppendJSONString(b, text)
	return append(b, `}`+closeReply...)
}

// AppendNack appends the refusal of a message (CCS 3.3). It also writes an empty description,
// because one client requires it.
func AppendNack(b []byte, from, messageID string, code Code, description string) []byte {
	b = append(b, openReply+`{"message_type":"nack","from":`...)
	b = AppendJSONString(b, from)
	b = append(b, `,"message_id":`...)
	b = AppendJSONString(b, messageID)
	b = append(b, `,"error":`...)
	b = AppendJSONString(b, string(code))
	b = append(b, `,"error_description":`...)
	b = AppendJSONString(b, description)
	return append(b, `}`+closeReply...)
}

// AppendControl appends a control message. Its only known type is CONNECTION_DRAINING. Google sent
// no message_id, but some clients ignore a control message without one. "" leaves it out (CCS
// 3.7).
func AppendControl(b []byte, controlType, messageID string) []byte {
	b = append(b, openReply+`{"message_type":"control","control_type":`...)
	b = AppendJSONString(b, controlType)
	if messageID != "" {
		b = append(b, `,"message_id":`...)
		b = AppendJSONString(b, messageID)
	}
	return append(b, `}`+closeReply...)
}

// AppendUpstream appends a message from a device. to is the bare address of the sender (CCS 3.6).
func AppendUpstream(b []byte, to string, u *Upstream) []byte {
	b = appendFromDevices(b, to)
	b = append(b, `{"data":`...)
	b = AppendObject(b, u.Data)
	b = append(b, `,"time_to_live":`...)
	b = appendSeconds(b, u.TTL)
	b = append(b, `,"from":`...)
	b = AppendJSONString(b, u.From)
	b = append(b, `,"message_id":`...)
	b = AppendJSONString(b, u.MessageID)
	b = append(b, `,"category":`...)
	b = AppendJSONString(b, u.Category)
	return append(b, `}`+closeGCM...)
}

// ReceiptPrefix comes before the message_id of a message in the message_id of its receipt (CCS
// 3.5).
const ReceiptPrefix = "dr2:"

// AppendReceipt appends a delivery receipt. to is the bare address of the sender (CCS 3.5).
func AppendReceipt(b []byte, to string, r *Receipt) []byte {
	b = appendFromDevices(b, to)
	b = append(b, `{"data":{"message_status":"MESSAGE_SENT_TO_DEVICE","original_message_id":`...)
	b = AppendJSONString(b, r.OriginalID)
	b = append(b, `,"device_registration_id":`...)
	b = AppendJSONString(b, r.Token)
	b = append(b, `,"message_sent_timestamp":"`...)
	b = strconv.AppendInt(b, r.Sent.UnixMilli(), 10)
	b = append(b, `"},"message_type":"receipt","from":"`+domains.GCM+`","message_id":"`+ReceiptPrefix...)
	b = appendJSON(b, r.OriginalID)
	b = append(b, `","category":`...)
	b = AppendJSONString(b, r.Category)
	return append(b, `,"time_to_live":0}`+closeGCM...)
}

// StanzaError answers a stanza that names no message_id to nack (CCS 3.3).
type StanzaError struct {
	ID         string // of the answered stanza
	HasID      bool
	To         string // the full address of the connection
	Payload    []byte // echoed, if the stanza had one
	HasPayload bool
	Code       int
	Type       string // modify, cancel, ...
	Condition  string // bad-request, not-acceptable, ...
	Text       string
}

// AppendStanzaError appends the error. CCS 3.3 requires an empty id to be echoed.
// AppendStanzaError leaves it out, because clients drop the connection on <message id=""> (CCS
// 1.11).
func AppendStanzaError(b []byte, e *StanzaError) []byte {
	b = append(b, `<message`...)
	if e.HasID && e.ID != "" {
		b = append(b, ` id="`...)
		b = AppendEscaped(b, e.ID)
		b = append(b, '"')
	}
	b = append(b, ` type="error" to="`...)
	b = AppendEscaped(b, e.To)
	b = append(b, `">`...)
	if e.HasPayload {
		b = append(b, openGCM...)
		b = appendEscaped(b, stringOf(e.Payload), false)
		b = append(b, `</gcm>`...)
	}
	b = append(b, `<error code="`...)
	b = strconv.AppendInt(b, int64(e.Code), 10)
	b = append(b, `" type="`...)
	b = AppendEscaped(b, e.Type)
	b = append(b, `"><`...)
	b = append(b, e.Condition...)
	b = append(b, stanzasAttr+`/><text`+stanzasAttr+`>`...)
	b = appendEscaped(b, e.Text, false)
	return append(b, `</text></error></message>`...)
}

// AppendDownstream appends a message in the form that an app server writes (CCS 2.1, 2.3). It
// leaves out fields with their zero value. It also leaves out a TTL of MaxTTL, which is the
// default. Data and Notification must be valid JSON text and are written as they are.
func AppendDownstream(b []byte, d *Downstream) []byte {
	b = append(b, openRequest+`{`...)
	if d.To != "" || d.Condition == "" {
		b = append(b, `"to":`...)
		b = AppendJSONString(b, d.To)
	} else {
		b = append(b, `"condition":`...)
		b = AppendJSONString(b, d.Condition)
	}
	b = append(b, `,"message_id":`...)
	b = AppendJSONString(b, d.MessageID)
	if d.CollapseKey != "" {
		b = append(b, `,"collapse_key":`...)
		b = AppendJSONString(b, d.CollapseKey)
	}
	switch d.Priority {
	case PriorityNormal:
		b = append(b, `,"priority":"normal"`...)
	case PriorityHigh:
		b = append(b, `,"priority":"high"`...)
	}
	if ttl := d.Lifetime(); ttl != MaxTTL {
		b = append(b, `,"time_to_live":`...)
		b = appendSeconds(b, ttl)
	}
	b = appendTrue(b, `,"delay_while_idle":true`, d.DelayWhileIdle)
	b = appendTrue(b, `,"delivery_receipt_requested":true`, d.ReceiptRequested)
	b = appendTrue(b, `,"dry_run":true`, d.DryRun)
	b = appendTrue(b, `,"content_available":true`, d.ContentAvailable)
	b = appendTrue(b, `,"mutable_content":true`, d.MutableContent)
	if d.RestrictedPackage != "" {
		b = append(b, `,"restricted_package_name":`...)
		b = AppendJSONString(b, d.RestrictedPackage)
	}
	if d.Data != "" {
		b = append(b, `,"data":`...)
		b = appendObject(b, d.Data)
	}
	if d.Notification != "" {
		b = append(b, `,"notification":`...)
		b = appendObject(b, d.Notification)
	}
	return append(b, `}`+closeGCM...)
}

// AppendGroupAck appends the acknowledgement of a message to a device group: the number of members
// that have a copy, and the registration tokens of those that have none (TOPICS 4.2).
func AppendGroupAck(b []byte, from, messageID string, success int, failed []string) []byte {
	b = append(b, openReply+`{"message_type":"ack","from":`...)
	b = AppendJSONString(b, from)
	b = append(b, `,"message_id":`...)
	b = AppendJSONString(b, messageID)
	b = AppendGroupResult(append(b, ','), success, failed)
	return append(b, `}`+closeReply...)
}

// AppendGroupResult appends the members of the answer to a message to a device group, without
// braces.
func AppendGroupResult(b []byte, success int, failed []string) []byte {
	b = strconv.AppendInt(append(b, `"success":`...), int64(success), 10)
	b = strconv.AppendInt(append(b, `,"failure":`...), int64(len(failed)), 10)
	for i, token := range failed {
		if i == 0 {
			b = append(b, `,"failed_registration_ids":[`...)
		} else {
			b = append(b, ',')
		}
		b = AppendJSONString(b, token)
	}
	if len(failed) > 0 {
		b = append(b, ']')
	}
	return b
}

// AppendClientAck appends an app server's acknowledgement of an upstream message or receipt. to is
// the from of that message (CCS 3.4).
func AppendClientAck(b []byte, to, messageID string) []byte {
	b = append(b, openRequest+`{"to":`...)
	b = AppendJSONString(b, to)
	b = append(b, `,"message_id":`...)
	b = AppendJSONString(b, messageID)
	return append(b, `,"message_type":"ack"}`+closeGCM...)
}

func appendFromDevices(b []byte, to string) []byte {
	b = append(b, `<message to="`...)
	b = AppendEscaped(b, to)
	return append(b, fromDevices...)
}

func appendSeconds(b []byte, d time.Duration) []byte {
	return strconv.AppendInt(b, int64(d/time.Second), 10)
}

func appendTrue(b []byte, text string, yes bool) []byte {
	if yes {
		return append(b, text...)
	}
	return b
}

// markup marks the bytes of x that XML escapes, in the same way as special.
func markup(x uint64) uint64 { return zeros((x|2*ones)^'>'*ones) | zeros(x^'&'*ones) }

// appendObject appends JSON text. Characters that XML would escape are only inside its strings,
// where JSON can escape them.
func appendObject(b []byte, o Object) []byte {
	s := string(o)
	done := 0 // offset in s up to which the text is in b
	for i := 0; i < len(s); {
		if i+8 <= len(s) {
			marks := markup(binary.LittleEndian.Uint64(bytesOf(s[i : i+8])))
			if marks == 0 {
				i += 8
				continue
			}
			i += firstMark(marks)
		}
		if c := s[i]; c == '<' || c == '>' || c == '&' {
			b = appendUnicode(append(b, s[done:i]...), rune(c))
			done = i + 1
		}
		i++
	}
	return append(b, s[done:]...)
}

// AppendJSONString appends s as a JSON string that needs no XML escaping, because some clients do
// not decode XML escapes (CCS 1.11 no. 4). It writes <, > and & as \u003c, \u003e and \u0026. It
// also escapes characters that XML or JavaScript cannot carry. Invalid UTF-8 becomes U+FFFD.
func AppendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	b = appendJSON(b, s)
	return append(b, '"')
}

// special marks the bytes of x that appendJSON cannot copy unchanged: bytes that JSON or XML
// escapes, controls, and bytes beyond ASCII. One test finds < and >, which differ in one bit, and
// one test finds " and &.
func special(x uint64) uint64 {
	return zeros(x^'\\'*ones) | zeros((x|2*ones)^'>'*ones) | zeros((x|4*ones)^'&'*ones) | controls(x) | x&highs
}

func appendJSON(b []byte, s string) []byte {
	done := 0 // offset in s up to which the text is in b
	for i := 0; i < len(s); {
		if i+8 <= len(s) {
			marks := special(binary.LittleEndian.Uint64(bytesOf(s[i : i+8])))
			if marks == 0 {
				i += 8
				continue
			}
			i += firstMark(marks)
		}
		c := s[i]
		if special(uint64(c)|'x'*(ones-1)) == 0 {
			i++
			continue
		}
		r, n := rune(c), 1
		if c >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[i:])
			if !(r == utf8.RuneError && n == 1) && r != '\u2028' && r != '\u2029' && isCharacter(r) {
				i += n
				continue
			}
		}
		b = append(b, s[done:i]...)
		switch r {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = appendUnicode(b, r)
		}
		i += n
		done = i
	}
	return append(b, s[done:]...)
}

func appendUnicode(b []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}

// AppendEscaped appends s as XML text or as an attribute value in double quotes. Characters that
// XML 1.0 cannot carry become U+FFFD.
func AppendEscaped(b []byte, s string) []byte { return appendEscaped(b, s, true) }

// appendEscaped appends s as AppendEscaped does. It escapes double quotes only if quotes is true,
// because text may contain them (CCS 3.1).
func appendEscaped(b []byte, s string, quotes bool) []byte {
	done := 0
	for i := 0; i < len(s); {
		r, n := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[i:])
		}
		escape := ""
		switch {
		case r == '<':
			escape = "&lt;"
		case r == '>':
			escape = "&gt;"
		case r == '&':
			escape = "&amp;"
		case r == '"' && quotes:
			escape = "&quot;"
		case (r == '\t' || r == '\n') && quotes || r == '\r': // a parser would make it a space or \n
			escape = [...]string{'\t': "&#9;", '\n': "&#10;", '\r': "&#13;"}[r]
		case !isCharacter(r) || r == utf8.RuneError && n == 1:
			escape = "\uFFFD"
		}
		if escape != "" {
			b = append(append(b, s[done:i]...), escape...)
			done = i + n
		}
		i += n
	}
	return append(b, s[done:]...)
}
