package stanza

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strconv"
	"unicode/utf8"
)

// These tables classify bytes. The Reader does not check which characters beyond ASCII may be in a
// name, because no name that CCS uses has any.
var spaces, nameStart, nameByte [256]bool

func init() {
	for _, c := range " \t\r\n" {
		spaces[c] = true
	}
	for c := range 256 {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' || c >= utf8.RuneSelf
		nameStart[c] = letter
		nameByte[c] = letter || '0' <= c && c <= '9' || c == '-' || c == '.' || c == ':'
	}
}

// These words of eight bytes have the same value in each byte.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// controls returns a word with the high bit of each byte of x set that is below 0x20. Bytes above
// the first such byte may be marked falsely. Bytes from 0x80 on are not marked.
func controls(x uint64) uint64 { return (x - 0x20*ones) &^ x & highs }

// zeros marks the bytes of x that are 0, in the same way as controls.
func zeros(x uint64) uint64 { return (x - ones) &^ x & highs }

// checkCharacters refuses bytes in the finished header or element that XML 1.0 cannot carry.
func (r *Reader) checkCharacters() bool {
	b := r.buf[r.start:r.scan]
	at := badCharacter(b)
	if at < 0 {
		return true
	}
	reason := "character that XML forbids"
	if b[at] >= utf8.RuneSelf {
		reason = "no UTF-8, or a character that XML forbids"
	}
	r.invalid(r.start+at, reason)
	return false
}

// badCharacter returns the offset of the first byte in b that is not part of an XML character in
// UTF-8, or -1. U+FFFE and U+FFFF are not characters. Surrogates are not valid UTF-8 anyway.
func badCharacter(b []byte) int {
	all := uint64(0)
	i := 0
	for ; i+32 <= len(b); i += 32 { // four words each, for speed
		p := (*[32]byte)(b[i:])
		w, x := binary.LittleEndian.Uint64(p[:]), binary.LittleEndian.Uint64(p[8:])
		y, z := binary.LittleEndian.Uint64(p[16:]), binary.LittleEndian.Uint64(p[24:])
		all |= w | x | y | z
		if controls(w)|controls(x)|controls(y)|controls(z) != 0 {
			if at := badControl(p[:]); at >= 0 {
				return firstBad(b, i+at)
			}
		}
	}
	if at := badControl(b[i:]); at >= 0 {
		return firstBad(b, i+at)
	}
	for _, c := range b[i:] {
		all |= uint64(c)
	}
	if all&highs == 0 {
		return -1
	}
	return firstBad(b, -1)
}

func badControl(b []byte) int {
	for i, c := range b {
		if c < 0x20 && !spaces[c] {
			return i
		}
	}
	return -1
}

// firstBad returns the offset of the first invalid UTF-8 or invalid character in b before the
// control character. If there is none, it returns the offset of the control character.
func firstBad(b []byte, control int) int {
	if control >= 0 {
		b = b[:control]
	}
	if !utf8.Valid(b) {
		for i := 0; ; {
			c, n := utf8.DecodeRune(b[i:])
			if c == utf8.RuneError && n == 1 || noCharacter(b[i:]) {
				return i
			}
			i += n
		}
	}
	for i := 0; ; i++ {
		n := bytes.IndexByte(b[i:], 0xEF)
		if n < 0 {
			return control
		}
		i += n
		if noCharacter(b[i:]) {
			return i
		}
	}
}

// noCharacter reports whether b starts with U+FFFE or U+FFFF.
func noCharacter(b []byte) bool {
	return len(b) >= 3 && b[0] == 0xEF && b[1] == 0xBF && b[2] >= 0xBE
}

const badReference = "& without a predefined entity or a character behind it"

// checkReferences returns the offset of the first & in b that does not start a valid reference, or
// -1.
func checkReferences(b []byte) int {
	for i := 0; ; {
		n := bytes.IndexByte(b[i:], '&')
		if n < 0 {
			return -1
		}
		i += n
		_, size := reference(b[i:])
		if size == 0 {
			return i
		}
		i += size
	}
}

// unescape copies src to dst with its references replaced, and returns the length of the result.
// bad is the offset in src of the first invalid reference, or -1. dst may be the same memory as
// src, or start before it.
func unescape(dst, src []byte) (n, bad int) {
	for i := 0; ; {
		amp := bytes.IndexByte(src[i:], '&')
		if amp < 0 {
			return n + copy(dst[n:], src[i:]), -1
		}
		n += copy(dst[n:], src[i:i+amp])
		i += amp
		c, size := reference(src[i:])
		if size == 0 {
			return n, i
		}
		i += size
		if c < utf8.RuneSelf {
			dst[n] = byte(c)
			n++
		} else { // a reference is longer than its character
			n += utf8.EncodeRune(dst[n:], c)
		}
	}
}

// maxReference is longer than any reference that a client writes, even with leading zeros.
const maxReference = 24

// reference decodes the reference at the start of b. The size is 0 if there is none.
func reference(b []byte) (c rune, size int) {
	if len(b) >= 6 && string(b[:6]) == "&quot;" { // JSON text has many of these
		return '"', 6
	}
	b = b[:min(len(b), maxReference)]
	end := bytes.IndexByte(b, ';')
	if end < 0 {
		return 0, 0
	}
	switch name := string(b[1:end]); name {
	case "quot":
		c = '"'
	case "amp":
		c = '&'
	case "lt":
		c = '<'
	case "gt":
		c = '>'
	case "apos":
		c = '\''
	default:
		if len(name) < 2 || name[0] != '#' {
			return 0, 0
		}
		digits, base := name[1:], 10
		if digits[0] == 'x' {
			digits, base = digits[1:], 16
		}
		v, err := strconv.ParseUint(digits, base, 32)
		if err != nil || !isCharacter(rune(v)) {
			return 0, 0
		}
		c = rune(v)
	}
	return c, end + 1
}

// isCharacter reports whether XML 1.0 can carry c.
func isCharacter(c rune) bool {
	return c >= 0x20 && c < 0xD800 || c == '\t' || c == '\n' || c == '\r' ||
		c >= 0xE000 && c < 0xFFFE || c >= 0x10000 && c <= utf8.MaxRune
}

// firstMark returns the index in its word of the lowest marked byte.
func firstMark(marks uint64) int { return bits.TrailingZeros64(marks) / 8 }
