package mcs

import (
	"strconv"
)

const (
	persistentIDPrefix = "0:"
	microsDigits       = 16
	hexDigits          = 16
)

// PersistentID returns the key by which a device acknowledges a downstream message. It consists of
// the time when the server accepted the message, in Unix microseconds, and a number that is unique
// to the message on its device. An example is "0:1400000000000000%a1b2c3d4e5f60718", which has the
// form of the real service's IDs (DEV 7.2).
func PersistentID(acceptedMicros int64, id uint64) string {
	var b [len(persistentIDPrefix) + microsDigits + 1 + hexDigits]byte
	return string(AppendPersistentID(b[:0], acceptedMicros, id))
}

// AppendPersistentID appends PersistentID to b.
func AppendPersistentID(b []byte, acceptedMicros int64, id uint64) []byte {
	b = append(b, persistentIDPrefix...)
	b = appendPadded(b, uint64(max(acceptedMicros, 0)), 10, microsDigits)
	b = append(b, '%')
	return appendPadded(b, id, 16, hexDigits)
}

// ParsePersistentID is the inverse of PersistentID. ok is false for an ID that the server did not
// make.
func ParsePersistentID(s string) (acceptedMicros int64, id uint64, ok bool) {
	const percent = len(persistentIDPrefix) + microsDigits
	if len(s) != percent+1+hexDigits || s[:len(persistentIDPrefix)] != persistentIDPrefix || s[percent] != '%' {
		return 0, 0, false
	}
	micros, err := strconv.ParseUint(s[len(persistentIDPrefix):percent], 10, 63)
	if err != nil {
		return 0, 0, false
	}
	id, err = strconv.ParseUint(s[percent+1:], 16, 64)
	return int64(micros), id, err == nil
}

// appendPadded appends n with leading zeros, at least width digits.
func appendPadded(b []byte, n uint64, base, width int) []byte {
	var digits [20]byte
	d := strconv.AppendUint(digits[:0], n, base)
	for range width - len(d) {
		b = append(b, '0')
	}
	return append(b, d...)
}
