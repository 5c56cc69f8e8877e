package gcmhttp

import (
	"net/url"
	"strings"

	"github.com/openccs/openccs/stanza"
)

// appendForm appends the JSON of a request that came as a form, so that one decoder checks both
// (CCS 6.6). If a parameter comes twice, the first counts. A value that cannot be parsed becomes a
// string, which the decoder refuses where it needs another type.
func appendForm(b []byte, form string) []byte {
	var fields, data, note []string // alternating names and values
	seen := map[string]bool{}
	for pair := range strings.SplitSeq(form, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, value = unescape(name), unescape(value)
		if name == "registration_id" {
			name = "to"
		}
		if name == "" || seen[name] {
			continue
		}
		seen[name] = true
		if key, ok := strings.CutPrefix(name, "data."); ok {
			data = append(data, key, value)
		} else if key, ok := strings.CutPrefix(name, "notification."); ok {
			note = append(note, key, value)
		} else if formFields[name] {
			fields = append(fields, name, value)
		}
	}
	b = append(b, '{')
	for i := 0; i < len(fields); i += 2 {
		b = appendField(b, fields[i], fields[i+1])
	}
	if data != nil {
		b = append(appendName(b, "data"), '{')
		b = append(appendStrings(b, data), '}')
	}
	if note != nil {
		b = append(appendName(b, "notification"), '{')
		b = append(appendStrings(b, note), '}')
	}
	return append(b, '}')
}

// formFields are the parameters that are read, besides those of data and notification. True means
// all of them.
var formFields = map[string]bool{
	"to": true, "condition": true, "collapse_key": true, "priority": true, "restricted_package_name": true, "time_to_live": true,
	"delay_while_idle": true, "dry_run": true, "content_available": true, "mutable_content": true,
}

// booleans are those of formFields that are booleans.
var booleans = map[string]bool{"delay_while_idle": true, "dry_run": true, "content_available": true, "mutable_content": true}

// appendField appends a member. An empty value is left out, except for the target.
func appendField(b []byte, name, value string) []byte {
	switch {
	case value == "":
		return b
	case booleans[name] && (value == "1" || strings.EqualFold(value, "true")):
		return append(appendName(b, name), "true"...)
	case booleans[name] && (value == "0" || strings.EqualFold(value, "false")):
		return append(appendName(b, name), "false"...)
	}
	return stanza.AppendJSONString(appendName(b, name), value)
}

func appendStrings(b []byte, pairs []string) []byte {
	for i := 0; i < len(pairs); i += 2 {
		b = stanza.AppendJSONString(appendName(b, pairs[i]), pairs[i+1])
	}
	return b
}

// appendName appends the name of a member, and the comma before it.
func appendName(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	return append(stanza.AppendJSONString(b, name), ':')
}

// unescape decodes the escapes of a form. It returns a text with a malformed escape unchanged.
func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	return s
}
