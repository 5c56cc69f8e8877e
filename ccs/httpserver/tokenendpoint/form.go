package tokenendpoint

import (
	"errors"
	"strings"
)

// maxParameters bounds the parameters of a form. A refresh has four.
const maxParameters = 32

// errRepeated says that a form has a parameter twice, or too many of them.
var errRepeated = errors.New("a parameter is given twice")

// form holds the parameters of a request.
type form map[string]string

// parseForm reads application/x-www-form-urlencoded as the clients of the token endpoint write it
// (CCS 7.1). CR, LF and blanks around a parameter are dropped, because the documentation folds the
// body after each "&". A "%" that begins no escape stands for itself, as in the refresh token of
// the documentation.
func parseForm(text string) (form, error) {
	f := form{}
	for pair := range strings.SplitSeq(text, "&") {
		pair = strings.Trim(pair, " \t\r\n")
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		key = unescape(key)
		if _, twice := f[key]; twice || len(f) == maxParameters {
			return nil, errRepeated
		}
		f[key] = unescape(value)
	}
	return f, nil
}

// unescape undoes the escapes of a form, and leaves a "%" alone that begins none.
func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			b = append(b, ' ')
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b = append(b, hex(s[i+1])<<4|hex(s[i+2]))
			i += 2
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func hex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
