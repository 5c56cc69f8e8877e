package stanza

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// maxNesting is the maximum depth of arrays and objects in a payload. The payload itself has depth
// 1.
const maxNesting = 64

// kind is the kind of a JSON value.
type kind uint8

const (
	kindAbsent kind = iota
	kindNull
	kindBoolean
	kindNumber
	kindString
	kindObject
	kindArray
)

// value is the position of a JSON value: of a string without its quotes, of any other value whole.
type value struct {
	start, end int32
	size       int32 // in bytes, as a string of a message's data (CCS 2.4)
	kind       kind
	escaped    bool // a string that has escapes
}

// lexer scans JSON text (RFC 8259) strictly and without allocating. A method that fails returns
// false and records the reason and the position.
type lexer struct {
	b      []byte
	i      int
	blank  int  // bytes of white space passed; compact text is shorter by this
	wide   bool // a byte beyond ASCII was passed; the caller checks for UTF-8
	reason string
}

func (l *lexer) fail(reason string) bool {
	l.reason = reason
	return false
}

// unexpected fails at the byte at l.i.
func (l *lexer) unexpected() bool {
	if l.i >= len(l.b) {
		return l.fail("Unexpected end")
	}
	return l.fail("Unexpected character")
}

// peek skips white space and returns the next byte, or 0 at the end.
func (l *lexer) peek() byte {
	for ; l.i < len(l.b); l.i++ {
		if c := l.b[l.i]; !spaces[c] {
			return c
		}
		l.blank++
	}
	return 0
}

// open passes the brace of an object.
func (l *lexer) open() bool {
	if l.peek() != '{' {
		return l.unexpected()
	}
	l.i++
	return true
}

// key passes the next key of an object and its colon, up to the value. more is false after the
// last key.
func (l *lexer) key(first bool) (key value, more, ok bool) {
	c := l.peek()
	if c == '}' {
		l.i++
		return key, false, true
	}
	if !first {
		if c != ',' {
			return key, false, l.unexpected()
		}
		l.i++
		c = l.peek()
	}
	if c != '"' {
		return key, false, l.unexpected()
	}
	if !l.quoted(&key) {
		return key, false, false
	}
	if l.peek() != ':' {
		return key, false, l.unexpected()
	}
	l.i++
	return key, true, true
}

// value passes a value. depth is that of the enclosing array or object.
func (l *lexer) value(v *value, depth int) bool {
	c := l.peek()
	start, blank := l.i, l.blank
	var ok bool
	switch {
	case c == '"':
		return l.quoted(v)
	case c == '{':
		v.kind, ok = kindObject, l.object(depth+1)
	case c == '[':
		v.kind, ok = kindArray, l.array(depth+1)
	case c == 't':
		v.kind, ok = kindBoolean, l.word("true")
	case c == 'f':
		v.kind, ok = kindBoolean, l.word("false")
	case c == 'n':
		v.kind, ok = kindNull, l.word("null")
	case c == '-' || '0' <= c && c <= '9':
		v.kind, ok = kindNumber, l.number()
	default:
		return l.unexpected()
	}
	v.start, v.end, v.escaped = int32(start), int32(l.i), false
	v.size = int32(l.i - start - (l.blank - blank))
	return ok
}

func (l *lexer) object(depth int) bool {
	if depth > maxNesting {
		return l.fail("Nested too deeply")
	}
	l.i++
	for first := true; ; first = false {
		_, more, ok := l.key(first)
		if !more {
			return ok
		}
		var v value
		if !l.value(&v, depth) {
			return false
		}
	}
}

func (l *lexer) array(depth int) bool {
	if depth > maxNesting {
		return l.fail("Nested too deeply")
	}
	l.i++
	if l.peek() == ']' {
		l.i++
		return true
	}
	for {
		var v value
		if !l.value(&v, depth) {
			return false
		}
		switch l.peek() {
		case ',':
			l.i++
		case ']':
			l.i++
			return true
		default:
			return l.unexpected()
		}
	}
}

func (l *lexer) word(w string) bool {
	if !strings.HasPrefix(stringOf(l.b[l.i:]), w) {
		return l.unexpected()
	}
	l.i += len(w)
	return true
}

func (l *lexer) number() bool {
	if l.b[l.i] == '-' {
		l.i++
	}
	if l.i < len(l.b) && l.b[l.i] == '0' {
		l.i++
	} else if !l.digits() {
		return false
	}
	if l.i < len(l.b) && l.b[l.i] == '.' {
		l.i++
		if !l.digits() {
			return false
		}
	}
	if l.i < len(l.b) && l.b[l.i]|0x20 == 'e' {
		l.i++
		if l.i < len(l.b) && (l.b[l.i] == '+' || l.b[l.i] == '-') {
			l.i++
		}
		return l.digits()
	}
	return true
}

// digits passes one or more digits.
func (l *lexer) digits() bool {
	start := l.i
	for l.i < len(l.b) && '0' <= l.b[l.i] && l.b[l.i] <= '9' {
		l.i++
	}
	return l.i > start || l.unexpected()
}

// quoted passes the string whose quote is at l.i. It checks eight bytes at a time for a byte that
// ends the string or needs special treatment.
func (l *lexer) quoted(v *value) bool {
	b, i, saved := l.b, l.i+1, 0
	v.start, v.kind, v.escaped = int32(i), kindString, false
	for {
		for i+8 <= len(b) {
			x := binary.LittleEndian.Uint64(b[i:])
			marks := zeros(x^'"'*ones) | zeros(x^'\\'*ones) | controls(x) | x&highs
			if marks != 0 {
				i += firstMark(marks)
				break
			}
			i += 8
		}
		for i < len(b) && b[i] >= 0x20 && b[i] < utf8.RuneSelf && b[i] != '"' && b[i] != '\\' {
			i++
		}
		if i == len(b) {
			l.i = i
			return l.fail("Unterminated string")
		}
		switch c := b[i]; {
		case c == '"':
			v.end, v.size = int32(i), int32(i-saved)-v.start
			l.i = i + 1
			return true
		case c == '\\':
			r, n := unquote(b[i:])
			if n == 0 {
				l.i = i
				return l.fail("Malformed escape")
			}
			v.escaped = true
			saved += n - utf8.RuneLen(r)
			i += n
		case c < 0x20:
			l.i = i
			return l.fail("Control character in a string")
		default:
			l.wide = true
			for i < len(b) && b[i] >= utf8.RuneSelf {
				i++
			}
		}
	}
}

// unquote decodes the escape at the start of b, or two escapes that form a surrogate pair. A
// single surrogate becomes U+FFFD, as in encoding/json. n is 0 if there is no valid escape.
func unquote(b []byte) (r rune, n int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch c := b[1]; c {
	case '"', '\\', '/':
		return rune(c), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		r, ok := hex4(b[2:])
		if !ok {
			return 0, 0
		}
		if !utf16.IsSurrogate(r) {
			return r, 6
		}
		if len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
			if low, ok := hex4(b[8:]); ok {
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					return r, 12
				}
			}
		}
		return utf8.RuneError, 6
	}
	return 0, 0
}

func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// appendValue appends v as a string of a message's data: v.size bytes (CCS 2.4).
func (l *lexer) appendValue(dst []byte, v value) []byte {
	raw := l.b[v.start:v.end]
	switch {
	case v.escaped:
		return appendUnquoted(dst, raw)
	case (v.kind == kindObject || v.kind == kindArray) && len(raw) != int(v.size):
		return appendCompact(dst, raw)
	}
	return append(dst, raw...)
}

// string returns the same as appendValue. It does not copy where the text already contains the
// result.
func (l *lexer) string(v value) string {
	if int(v.size) == int(v.end-v.start) && !v.escaped {
		return stringOf(l.b[v.start:v.end])
	}
	return stringOf(l.appendValue(make([]byte, 0, v.size), v))
}

// appendUnquoted appends the decoded text of a valid JSON string without its quotes.
func appendUnquoted(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			dst = append(dst, raw[i])
			i++
			continue
		}
		r, n := unquote(raw[i:])
		dst = utf8.AppendRune(dst, r)
		i += n
	}
	return dst
}

// appendCompact appends valid JSON text without its white space.
func appendCompact(dst, raw []byte) []byte {
	quoted := false
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case !quoted && spaces[c]:
			continue
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			dst = append(dst, c)
			i++
			c = raw[i]
		}
		dst = append(dst, c)
	}
	return dst
}

func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
