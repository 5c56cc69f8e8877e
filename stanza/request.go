package stanza

import (
	"fmt"
	"unicode/utf8"
)

// MaxRecipients is the maximum number of registration_ids in a request (CCS 6.4).
const MaxRecipients = 1000

// Request is the JSON of a send request over HTTP: a message without a message_id, to one target or
// to several registrations (CCS 6.4).
type Request struct {
	Downstream Downstream // without MessageID and ReceiptRequested; To is "" for a multicast
	Multicast  bool       // the request has registration_ids
	Tokens     []string   // these, at least one
}

// DecodeRequest decodes the body of a send request over HTTP. It applies the same rules as
// DecodeInbound and shares its code. Its error is always an *Error; the Text of a syntax error and
// of fields that exclude each other is what GCM wrote (CCS 6.7). rules may be nil. The strings
// share the body's memory. DecodeRequest overwrites r and uses the memory of its Tokens again.
//
// With an error, r still has the target or the Tokens if they are good.
func DecodeRequest(body []byte, rules *Rules, r *Request) error {
	var usual Rules
	if rules == nil {
		rules = &usual
	}
	var d document
	err := d.parse(body, rules.StrictDataKeys)
	*r = Request{Tokens: r.Tokens[:0]}
	if err != nil {
		return d.syntaxError()
	}
	if err := d.recipients(r); err != nil {
		return err
	}
	d.fields[fieldReceiptRequested] = value{} // only for XMPP (CCS 6.4)
	if err := d.options(&r.Downstream, rules); err != nil {
		return err
	}
	err = d.payload(&r.Downstream, rules)
	if e, ok := err.(*Error); ok && e.Fault == FaultType {
		switch e.Field {
		case "data":
			return d.arrayError(e.Field, d.fields[fieldData])
		case "notification":
			return d.arrayError(e.Field, d.fields[fieldNotification])
		}
	}
	return err
}

// syntaxError returns the failure of parse in GCM's words.
func (d *document) syntaxError() *Error {
	text := d.reason
	if c, _ := utf8.DecodeRune(d.b[min(d.i, len(d.b)):]); d.i < len(d.b) && c != utf8.RuneError && c >= ' ' {
		text += fmt.Sprintf(" (%c)", c)
	}
	return invalidJSON(FaultSyntax, fmt.Sprintf("%s at position %d.", text, d.i))
}

// recipients reads the target of a request: exactly one of to, registration_ids and condition.
// notification_key is an older name of to (CCS 6.4).
func (d *document) recipients(r *Request) error {
	m := &r.Downstream
	for _, f := range [...]struct {
		name  string
		field field
		into  *string
	}{{"notification_key", fieldNotificationKey, &m.To}, {"to", fieldTo, &m.To}, {"condition", fieldCondition, &m.Condition}} {
		if !d.has(f.field) {
			continue
		}
		if d.fields[f.field].kind != kindString {
			return d.typeError(f.name, "String", f.field)
		}
		if s := d.text(f.field); s != "" {
			if f.field == fieldTo && m.To != "" && m.To != s {
				return invalidJSON(FaultField, `Must use either "to" field or "notification_key", not both`)
			}
			*f.into = s
		}
	}
	switch {
	case d.has(fieldRegistrationIDs):
		if m.To != "" || m.Condition != "" {
			return invalidJSON(FaultField, `Must use either "registration_ids" field or "to", not both`)
		}
		r.Multicast = true
		return d.registrationIDs(r)
	case m.To != "" && m.Condition != "":
		return invalidJSON(FaultField, `Must use either "to" field or "condition", not both`)
	case m.To == "" && m.Condition == "":
		return invalidJSON(FaultTarget, "Missing target")
	}
	return nil
}

// registrationIDs reads the recipients of a multicast.
func (d *document) registrationIDs(r *Request) error {
	all := d.fields[fieldRegistrationIDs]
	if all.kind != kindArray {
		return d.arrayError("registration_ids", all)
	}
	l := lexer{b: d.b[:all.end], i: int(all.start) + 1}
	n := 0
	for l.peek() != ']' {
		if n > 0 {
			l.i++ // the comma
		}
		l.peek()
		var v value
		l.value(&v, 2)
		if v.kind != kindString {
			return d.typeErrorOf("registration_ids", "String", v)
		}
		if n++; n <= MaxRecipients {
			r.Tokens = append(r.Tokens, l.string(v))
		}
	}
	switch {
	case n == 0:
		return invalidJSON(FaultField, `"registration_ids" field cannot be empty`)
	case n > MaxRecipients:
		r.Tokens = r.Tokens[:0]
		return invalidJSON(FaultField, fmt.Sprintf("Number of messages on bulk (%d) exceeds maximum allowed (%d)", n, MaxRecipients))
	}
	return nil
}

func (d *document) arrayError(name string, v value) *Error {
	err := invalidJSON(FaultType, fmt.Sprintf("Field %q must be a JSON array: %s", name, d.excerpt(v)))
	err.Field = name
	return err
}
