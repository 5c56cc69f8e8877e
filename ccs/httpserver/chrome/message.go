package chrome

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/openccs/openccs/ccs"
)

// errParse says that a body is no JSON object, or that members are missing or of a wrong type.
var errParse = errors.New("parse error")

// invalidSubchannel stands for every subchannel that is none.
const invalidSubchannel = -1

// maxDepth bounds the nesting of members that are skipped.
const maxDepth = 32

// parseMessage reads the body of a send request: JSON whose strings may have single quotes (CCS
// 7.2).
func parseMessage(body []byte) (m ccs.ChannelMessage, err error) {
	if !utf8.Valid(body) {
		return m, errParse
	}
	p := &parser{text: string(body)}
	var channel, subchannel bool
	err = p.object(func(key string) error {
		var err error
		switch key {
		case "channelId":
			channel = true
			m.Channel, err = p.stringValue()
		case "subchannelId":
			subchannel = true
			m.Subchannel, err = p.subchannel()
		case "payload":
			if p.word("null") {
				m.Payload = ""
				return nil
			}
			m.Payload, err = p.stringValue()
		default:
			err = p.skip(0)
		}
		return err
	})
	if err == nil && (!channel || !subchannel || !p.end()) {
		err = errParse
	}
	return m, err
}

// queryMessage reads a send request without a body, whose members are in the query string (CCS
// 7.2).
func queryMessage(q url.Values) (m ccs.ChannelMessage, err error) {
	if !q.Has("channelId") || !q.Has("subchannelId") {
		return m, errParse
	}
	m.Channel, m.Payload = q.Get("channelId"), q.Get("payload")
	m.Subchannel = subchannelOf(q.Get("subchannelId"))
	if !utf8.ValidString(m.Payload) {
		return m, errParse
	}
	return m, nil
}

// subchannelOf returns the number of a subchannel, or invalidSubchannel.
func subchannelOf(s string) int {
	if len(s) == 1 && s[0] >= '0' && s[0] <= '3' {
		return int(s[0] - '0')
	}
	return invalidSubchannel
}

// parser reads JSON whose strings may have single quotes.
type parser struct {
	text string
	at   int
}

// space skips white space.
func (p *parser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// next skips white space, and takes a byte if it is c.
func (p *parser) next(c byte) bool {
	p.space()
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

// word skips white space, and takes a word.
func (p *parser) word(w string) bool {
	p.space()
	if strings.HasPrefix(p.text[p.at:], w) {
		p.at += len(w)
		return true
	}
	return false
}

// end reports whether nothing but white space is left.
func (p *parser) end() bool {
	p.space()
	return p.at == len(p.text)
}

// object reads an object. member reads the value of each key.
func (p *parser) object(member func(key string) error) error {
	if !p.next('{') {
		return errParse
	}
	if p.next('}') {
		return nil
	}
	for {
		key, err := p.stringValue()
		if err != nil || !p.next(':') {
			return errParse
		}
		if err := member(key); err != nil {
			return err
		}
		if p.next('}') {
			return nil
		}
		if !p.next(',') {
			return errParse
		}
	}
}

// subchannel reads a string or a number. Another type is an error, and another value is
// invalidSubchannel.
func (p *parser) subchannel() (int, error) {
	p.space()
	if number := p.number(); number != "" {
		return subchannelOf(number), nil
	}
	s, err := p.stringValue()
	return subchannelOf(s), err
}

// number takes a number and returns it as it is written; "" if there is none.
func (p *parser) number() string {
	first := p.at
	for p.at < len(p.text) && strings.IndexByte("+-.0123456789eE", p.text[p.at]) >= 0 {
		p.at++
	}
	s := p.text[first:p.at]
	if _, err := strconv.ParseFloat(s, 64); err != nil && !errors.Is(err, strconv.ErrRange) || strings.HasPrefix(s, "+") {
		p.at = first
		return ""
	}
	return s
}

// stringValue reads a string in single or double quotes.
func (p *parser) stringValue() (string, error) {
	var quote byte
	switch {
	case p.next('"'):
		quote = '"'
	case p.next('\''):
		quote = '\''
	default:
		return "", errParse
	}
	first := p.at
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == quote:
			p.at++
			return p.text[first : p.at-1], nil
		case c == '\\':
			return p.escapedString(quote, []byte(p.text[first:p.at]))
		case c < ' ':
			return "", errParse
		}
		p.at++
	}
	return "", errParse
}

// escapedString reads the rest of a string that has escapes, after b.
func (p *parser) escapedString(quote byte, b []byte) (string, error) {
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == quote:
			return string(b), nil
		case c < ' ':
			return "", errParse
		case c != '\\':
			b = append(b, c)
			continue
		}
		r, err := p.escape()
		if err != nil {
			return "", err
		}
		b = utf8.AppendRune(b, r)
	}
	return "", errParse
}

// escapes are the characters after a backslash, and what they stand for (RFC 8259 §7). A single
// quote is our addition.
var escapes = map[byte]rune{'"': '"', '\'': '\'', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape reads an escape after its backslash. Half of a surrogate pair becomes U+FFFD.
func (p *parser) escape() (rune, error) {
	if p.at == len(p.text) {
		return 0, errParse
	}
	c := p.text[p.at]
	p.at++
	if r, ok := escapes[c]; ok {
		return r, nil
	}
	if c != 'u' {
		return 0, errParse
	}
	r, ok := p.hex4()
	if !ok {
		return 0, errParse
	}
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	before := p.at
	if strings.HasPrefix(p.text[p.at:], `\u`) {
		p.at += 2
		if second, ok := p.hex4(); ok {
			if pair := utf16.DecodeRune(r, second); pair != utf8.RuneError {
				return pair, nil
			}
		}
		p.at = before
	}
	return utf8.RuneError, nil
}

// hex4 takes four hexadecimal digits.
func (p *parser) hex4() (rune, bool) {
	if len(p.text)-p.at < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(p.text[p.at:p.at+4], 16, 16)
	if err != nil {
		return 0, false
	}
	p.at += 4
	return rune(n), true
}

// skip reads a value of any type.
func (p *parser) skip(depth int) error {
	p.space()
	switch {
	case p.at == len(p.text), depth == maxDepth:
		return errParse
	case p.text[p.at] == '{':
		return p.object(func(string) error { return p.skip(depth + 1) })
	case p.text[p.at] == '[':
		return p.skipArray(depth)
	case p.word("true"), p.word("false"), p.word("null"), p.number() != "":
		return nil
	}
	_, err := p.stringValue()
	return err
}

func (p *parser) skipArray(depth int) error {
	p.at++
	if p.next(']') {
		return nil
	}
	for {
		if err := p.skip(depth + 1); err != nil {
			return err
		}
		if p.next(']') {
			return nil
		}
		if !p.next(',') {
			return errParse
		}
	}
}
