package stanza

import (
	"fmt"
	"unicode/utf8"

	"github.com/openccs/openccs/ccs/payload"
)

// field is a top-level key of a payload that has a meaning in at least one direction.
type field uint8

const (
	unknownField field = iota
	fieldTo
	fieldCondition
	fieldMessageID
	fieldMessageType
	fieldCollapseKey
	fieldPriority
	fieldTTL
	fieldDelayWhileIdle
	fieldReceiptRequested
	fieldDryRun
	fieldContentAvailable
	fieldMutableContent
	fieldRestrictedPackage
	fieldData
	fieldNotification
	fieldRegistrationIDs
	fieldNotificationKey
	fieldFrom
	fieldRegistrationID
	fieldError
	fieldErrorDescription
	fieldControlType
	fieldCategory
	fieldSubtype
	fieldCount
)

// fieldOf returns the field of a key. Keys are case-sensitive, as in GCM.
func fieldOf(key string) field {
	switch key {
	case "to":
		return fieldTo
	case "condition":
		return fieldCondition
	case "message_id":
		return fieldMessageID
	case "message_type":
		return fieldMessageType
	case "collapse_key":
		return fieldCollapseKey
	case "priority":
		return fieldPriority
	case "time_to_live":
		return fieldTTL
	case "delay_while_idle":
		return fieldDelayWhileIdle
	case "delivery_receipt_requested":
		return fieldReceiptRequested
	case "dry_run":
		return fieldDryRun
	case "content_available":
		return fieldContentAvailable
	case "mutable_content":
		return fieldMutableContent
	case "restricted_package_name":
		return fieldRestrictedPackage
	case "data":
		return fieldData
	case "notification":
		return fieldNotification
	case "registration_ids":
		return fieldRegistrationIDs
	case "notification_key":
		return fieldNotificationKey
	case "from":
		return fieldFrom
	case "registration_id":
		return fieldRegistrationID
	case "error":
		return fieldError
	case "error_description":
		return fieldErrorDescription
	case "control_type":
		return fieldControlType
	case "category":
		return fieldCategory
	case "subtype":
		return fieldSubtype
	}
	return unknownField
}

// document is a payload with checked syntax. It has the positions of the fields; their values are
// not checked yet.
type document struct {
	lexer
	fields [fieldCount]value

	size    int // of the pairs in data and notification, as CCS 2.6 counts
	badKey  value
	hasBad  bool
	badNote noteField // a field of notification whose value has the wrong type; none if its name is ""
	note    value     // that value
	badText bool      // the payload is not valid UTF-8
	scratch [32]byte
}

// parse scans the payload. The error is nil or says why the payload is not a JSON object. With an
// error, d has the fields before the fault.
func (d *document) parse(payload []byte, strictKeys bool) error {
	d.b = payload
	ok := d.members(strictKeys)
	if ok {
		d.peek()
		ok = d.i == len(d.b) || d.unexpected()
	}
	if d.wide && !utf8.Valid(payload) {
		d.badText = true
		if ok {
			d.i = firstBad(payload, -1)
			ok = d.fail("Invalid UTF-8")
		}
	}
	if ok {
		return nil
	}
	return invalidJSON(FaultSyntax, fmt.Sprintf("%s at offset %d", d.reason, d.i))
}

func (d *document) members(strictKeys bool) bool {
	if !d.open() {
		return false
	}
	for first := true; ; first = false {
		key, more, ok := d.key(first)
		if !more {
			return ok
		}
		f := fieldOf(d.string(key))
		var v value
		switch {
		case (f == fieldData || f == fieldNotification) && d.peek() == '{':
			v.kind, v.start = kindObject, int32(d.i)
			ok = d.pairs(f == fieldData, strictKeys)
			v.end = int32(d.i)
		default:
			ok = d.value(&v, 1)
		}
		if !ok {
			return false
		}
		if f == unknownField {
			continue
		}
		if d.fields[f].kind != kindAbsent {
			return d.fail("Duplicate key")
		}
		d.fields[f] = v
	}
}

// pairs scans data or notification, counts its size, and records the first forbidden key of data.
func (d *document) pairs(data, strictKeys bool) bool {
	d.i++
	for first := true; ; first = false {
		key, more, ok := d.key(first)
		if !more {
			return ok
		}
		if data && !d.hasBad && payload.ReservedKey(d.prefix(key), strictKeys) {
			d.badKey, d.hasBad = key, true
		}
		var v value
		if !d.value(&v, 2) {
			return false
		}
		if !data && d.badNote.name == "" && v.kind != kindNull {
			if f := noteFieldOf(d.prefix(key)); f.name != "" && v.kind != kindString && v.kind != f.other {
				d.badNote, d.note = f, v
			}
		}
		if v.kind != kindNull {
			d.size += int(key.size) + int(v.size)
		}
	}
}

// noteField is a field of notification that is a string or of one other kind (CCS 2.5).
type noteField struct {
	name  string
	java  string
	other kind
}

func noteFieldOf(key string) noteField {
	switch key {
	case "sound":
		return noteField{"sound", "String", kindObject}
	case "badge":
		return noteField{"badge", "String", kindNumber}
	case "body_loc_args":
		return noteField{"body_loc_args", "String", kindArray}
	case "title_loc_args":
		return noteField{"title_loc_args", "String", kindArray}
	}
	return noteField{}
}

// prefix returns the key, or enough of it to see that it is forbidden. It allocates no memory
// whose size the client controls: it decodes only the first characters of a key with escapes, into
// a small array.
func (d *document) prefix(key value) string {
	raw := d.b[key.start:key.end]
	if !key.escaped {
		return stringOf(raw)
	}
	short := d.scratch[:0]
	for i := 0; i < len(raw) && len(short) <= payload.MaxReservedKey; {
		if raw[i] != '\\' {
			short = append(short, raw[i])
			i++
			continue
		}
		r, n := unquote(raw[i:])
		short = utf8.AppendRune(short, r)
		i += n
	}
	return stringOf(short)
}

// text returns the string in a field. It returns "" if the field is not a string, or is one that
// may not be echoed.
func (d *document) text(f field) string {
	v := d.fields[f]
	if v.kind != kindString {
		return ""
	}
	s := d.string(v)
	if d.badText && !utf8.ValidString(s) {
		return ""
	}
	return s
}

// messageID returns the message_id, which is a string, or a number as it is written (CCS 2.3).
func (d *document) messageID() string {
	if v := d.fields[fieldMessageID]; v.kind == kindNumber {
		return d.string(v)
	}
	return d.text(fieldMessageID)
}

// has reports whether a field is present. null counts as absent (CCS 2.3).
func (d *document) has(f field) bool { return d.fields[f].kind > kindNull }

// excerpt returns a value as the documented error texts quote it: a string without quotes, any
// other value as it is. It cuts the value to the length of a log line.
func (d *document) excerpt(v value) string {
	s := stringOf(d.b[v.start:v.end])
	if v.kind == kindString {
		s = d.string(v)
	}
	if len(s) > maxExcerpt {
		cut := maxExcerpt
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	return s
}

const maxExcerpt = 128
