package payload

import (
	"strings"
	"time"
)

// MaxTTL is the longest and the default time_to_live of a downstream message (CCS 2.3).
const MaxTTL = 2419200 * time.Second

// ParseTTL returns the lifetime that a time_to_live names: a decimal number of seconds from 0 to MaxTTL. A fraction
// or an exponent is out of range. It is for the caller to check that s is a number.
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

// Priority is how soon a device should get a message.
type Priority uint8

// The priorities of CCS 2.3. PriorityDefault is what a message has that names none.
const (
	PriorityDefault Priority = iota
	PriorityNormal
	PriorityHigh
)

// ParsePriority returns the priority that a word names, or the number that APNs has for it (CCS 2.3).
func ParsePriority(s string) (_ Priority, ok bool) {
	switch {
	case s == "5" || strings.EqualFold(s, "normal"):
		return PriorityNormal, true
	case s == "10" || strings.EqualFold(s, "high"):
		return PriorityHigh, true
	}
	return 0, false
}

// MaxCollapseKey is how many bytes a collapse key may have (CCS 2.3).
const MaxCollapseKey = 256

// TopicPrefix is how the address of a topic begins.
const TopicPrefix = "/topics/"

// Rules are what the content of a message must keep to where eras of the protocol differ. The zero value is the
// protocol's usual.
type Rules struct {
	MaxPayload      int  // bytes of data and notification to a token or group (CCS 2.6); default 4096
	MaxTopicPayload int  // to a topic or condition; default 2048
	StrictDataKeys  bool // data keys as GCM 3.0 had them: none that begins with google or gcm (CCS 2.4)
	LenientBooleans bool // "true" and "false" for true and false (CCS 2.3)
}

const (
	defaultMaxPayload      = 4096
	defaultMaxTopicPayload = 2048
)

// Limit returns how many bytes the data and the notification of a message may have: of one to a topic or a condition,
// or of one to a registration.
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

// MaxReservedKey is the length of the longest key that is reserved as a whole; a longer one is reserved only for its
// beginning.
const MaxReservedKey = len("message_type")

// ReservedKey reports whether a key may not be in data. Devices would take it for one of the protocol's
// (CCS 2.4). strict is Rules.StrictDataKeys.
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
