package oauth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Prefix begins every access token, as at Google. API keys begin with "AIza" instead.
const Prefix = "ya29."

// MaxToken is the length of the longest access token. It is far below the limit of a stream before
// login, and a longer one is refused unread.
const MaxToken = 1024

// Claims are the statements of an access token.
type Claims struct {
	Sender  string // the project's sender ID
	Client  string // the OAuth client's ID
	Scope   string
	User    string    // the user that the token speaks for; "" for the project itself
	Issued  time.Time // to the second
	Expires time.Time // the token is not valid at or after this time; to the second
}

// content is everything that a token says.
type content struct {
	Claims
	epoch uint32            // of the client when the token was issued
	grant [sha256.Size]byte // hash of the refresh token; zero for none
}

// The layout of the signed part: version, issued, expires (Unix seconds), epoch, the hash of the
// refresh token, then sender, client, scope and user, each after its length in two bytes. The
// signature follows.
const (
	tokenVersion = 2
	epochOffset  = 1 + 8 + 8
	grantOffset  = epochOffset + 4
	fixedLen     = grantOffset + sha256.Size
	macLen       = sha256.Size
)

// errTooLong says that a client ID or scope is too long for a token. Those that this package makes
// are not.
var errTooLong = errors.New("the access token would be too long")

// sign makes the token with a content.
func (i *Issuer) sign(c *content) (string, error) {
	b := []byte{tokenVersion}
	b = binary.BigEndian.AppendUint64(b, uint64(c.Issued.Unix()))
	b = binary.BigEndian.AppendUint64(b, uint64(c.Expires.Unix()))
	b = binary.BigEndian.AppendUint32(b, c.epoch)
	b = append(b, c.grant[:]...)
	for _, s := range []string{c.Sender, c.Client, c.Scope, c.User} {
		if len(s) > MaxToken {
			return "", fmt.Errorf("%w: more than %d characters", errTooLong, MaxToken)
		}
		b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
		b = append(b, s...)
	}
	token := Prefix + base64.RawURLEncoding.EncodeToString(append(b, i.mac(b)...))
	if len(token) > MaxToken {
		return "", fmt.Errorf("%w: more than %d characters", errTooLong, MaxToken)
	}
	return token, nil
}

// parse returns the content of a token that this server signed, and ErrInvalid for any other.
func (i *Issuer) parse(token string) (c content, err error) {
	text, ok := strings.CutPrefix(token, Prefix)
	if !ok || len(token) > MaxToken {
		return c, ErrInvalid
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	// A token has one spelling. The decoder alone ignores line ends and unused bits of the last
	// character.
	if err != nil || len(b) < fixedLen+macLen || base64.RawURLEncoding.EncodeToString(b) != text {
		return c, ErrInvalid
	}
	b, mac := b[:len(b)-macLen], b[len(b)-macLen:]
	if !hmac.Equal(mac, i.mac(b)) || b[0] != tokenVersion {
		return c, ErrInvalid
	}
	c.Issued = time.Unix(int64(binary.BigEndian.Uint64(b[1:])), 0)
	c.Expires = time.Unix(int64(binary.BigEndian.Uint64(b[9:])), 0)
	c.epoch = binary.BigEndian.Uint32(b[epochOffset:])
	c.grant = [sha256.Size]byte(b[grantOffset:])
	b = b[fixedLen:]
	for _, field := range []*string{&c.Sender, &c.Client, &c.Scope, &c.User} {
		*field, b = cutField(b)
	}
	return c, nil
}

// cutField cuts one field from the signed part. The signature was verified, so the field is well
// formed.
func cutField(b []byte) (field string, rest []byte) {
	n := 2 + int(binary.BigEndian.Uint16(b))
	return string(b[2:n]), b[n:]
}

func (i *Issuer) mac(b []byte) []byte {
	h := hmac.New(sha256.New, i.secret)
	h.Write(b)
	return h.Sum(nil)
}
