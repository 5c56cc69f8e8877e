package httpserver

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/openccs/openccs/ccs/payload"
)

// Limits of a registration. Clients send far less (DEV 3.2).
const (
	maxForm       = 64 << 10 // Firebase adds a signed installation token and its own statistics
	maxSenders    = 100
	maxSender     = 256 // a VAPID key has 87 characters
	maxApp        = 256
	maxSubtype    = 1024 // contains the origin of a web page
	maxInstanceID = 64
	maxScope      = 256
)

// form is the body of a registration: the first value of each field.
type form map[string]string

// parseForm decodes application/x-www-form-urlencoded. Unlike package url it accepts characters
// that clients leave unescaped (DEV 3.1).
func parseForm(body string) (form, error) {
	f := form{}
	for pair := range strings.SplitSeq(body, "&") {
		key, value, _ := strings.Cut(pair, "=")
		key, err := url.QueryUnescape(key)
		if err != nil {
			return nil, err
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return nil, err
		}
		if _, ok := f[key]; !ok {
			f[key] = value
		}
	}
	return f, nil
}

func (f form) get(key string) string { return f[key] }

// first returns the first of the fields that has a value.
func (f form) first(keys ...string) string {
	for _, key := range keys {
		if v := f[key]; v != "" {
			return v
		}
	}
	return ""
}

// deletion reports whether the form asks for a removal (DEV 3.2).
func (f form) deletion() bool {
	v := f.first("delete", "X-delete", "X-X-delete")
	return v == "true" || v == "1"
}

// topic returns the address of the topic that the form concerns, "" for none (DEV 3.3, TOPICS 2.2).
func (f form) topic() string {
	if t := f.first("X-gcm.topic", "gcm.topic"); t != "" {
		return t
	}
	if scope := f.first("scope", "X-scope"); strings.HasPrefix(scope, payload.TopicPrefix) {
		return scope
	}
	return ""
}

// mark returns the prefix |ID|<n>| of a token for clients that send an X-kid (DEV 3.3).
func (f form) mark() string {
	kid := f["X-kid"]
	n, ok := strings.CutPrefix(kid, "|ID|")
	n, end := strings.CutSuffix(n, "|")
	if !ok || !end || n == "" || strings.Trim(n, "0123456789") != "" {
		return ""
	}
	return kid + ":"
}

// proper reports whether a value is text of at most the given number of bytes.
func proper(s string, most int) bool {
	return len(s) <= most && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// parseSenders sorts and deduplicates the senders of a classic registration. An Instance ID has one
// authorised entity (DEV 3.2). It does not check whether the senders exist.
func parseSenders(list string, one bool) ([]string, error) {
	senders := strings.Split(list, ",")
	for i, s := range senders {
		senders[i] = strings.TrimSpace(s)
		if senders[i] == "" || !proper(senders[i], maxSender) {
			return nil, wordInvalidSender
		}
	}
	slices.Sort(senders)
	senders = slices.Compact(senders)
	if len(senders) > maxSenders || one && len(senders) > 1 {
		return nil, wordInvalidSender
	}
	return senders, nil
}
