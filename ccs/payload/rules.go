package payload

import (
	"strings"
	"time"
)

// MaxTTL is the longest and the default time_to_live of a downstream message (CCS 2.3).
const MaxTTL = 2419200 * time.Second

// ParseTTL returns the lifetime that a time_to_live names: a decimal number of seconds from 0 to
// MaxTTL. A fraction or an exponent is out of range. The caller must check that s is a number.
func ParseTTL(s string) (_ time.Duration, ok bool) {
	digits := strings.TrimPrefix(s, "-")
	seconds := time.Duration(0)
	for i := 0; i < len(digits) && seconds <= MaxTTL/time.Second; i++ {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, false
		}
		seconds = seconds*10 + time.Duration(digits[i]-'0')
	}
	if seconds > MaxTTL/time.Second || seconds > 0 && len(s) > len(digits) {
		return 0, false
	}
	return seconds * time.Second, true
}

// Priority says how soon a device should get a message.
type Priority uint8

// These are the priorities of CCS 2.3. A message that names no priority has PriorityDefault.
const (
	PriorityDefault Priority = iota
	PriorityNormal
	PriorityHigh
)

// ParsePriority returns the priority of a word, or of the number that APNs uses for it (CCS 2.3).
func ParsePriority(s string) (_ Priority, ok bool) {
	switch {
	case s == "5" || strings.EqualFold(s, "normal"):
		return PriorityNormal, true
	case s == "10" || strings.EqualFold(s, "high"):
		return PriorityHigh, true
	}
	return 0, false
}

// MaxCollapseKey is the maximum length of a collapse key in bytes (CCS 2.3).
const MaxCollapseKey = 256

// TopicPrefix is the start of a topic's address.
const TopicPrefix = "/topics/"

// MaxTopicName is the maximum length of a topic's name in bytes (TOPICS 2.1).
const MaxTopicName = 900

// ValidTopicName reports whether a topic may have the name (TOPICS 2.1).
func ValidTopicName(name string) bool {
	if name == "" || len(name) > MaxTopicName {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-_.~%", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// Rules are the rules for a message's content that differ between eras of the protocol. The zero
// value is the usual protocol.
type Rules struct {
	MaxPayload      int  // data and notification to a token or group in bytes (CCS 2.6); default 4096
	MaxTopicPayload int  // to a topic or condition; default 2048
	StrictDataKeys  bool // refuse data keys that begin with google or gcm, as GCM 3.0 did (CCS 2.4)
	LenientBooleans bool // accept "true" and "false" for true and false (CCS 2.3)
}

const (
	defaultMaxPayload      = 4096
	defaultMaxTopicPayload = 2048
)

// Limit returns the maximum size in bytes of the data and notification of a message: to a topic or
// condition if toTopic is set, otherwise to a registration.
func (r *Rules) Limit(toTopic bool) int {
	if toTopic {
		return orDefault(r.MaxTopicPayload, defaultMaxTopicPayload)
	}
	return orDefault(r.MaxPayload, defaultMaxPayload)
}

func orDefault(n, usual int) int {
	if n == 0 {
		return usual
	}
	return n
}

// MaxReservedKey is the length of the longest key that is reserved as a whole. A longer key is
// reserved only if its beginning is.
const MaxReservedKey = len("message_type")

// ReservedKey reports whether a key is forbidden in data. Devices would mistake it for one of the
// protocol's keys (CCS 2.4). strict is Rules.StrictDataKeys.
func ReservedKey(key string, strict bool) bool {
	switch key {
	case "from", "message_type", "google", "gcm":
		return true
	}
	if strict {
		return strings.HasPrefix(key, "google") || strings.HasPrefix(key, "gcm")
	}
	return strings.HasPrefix(key, "google.") || strings.HasPrefix(key, "gcm.")
}
