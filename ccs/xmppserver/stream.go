package xmppserver

import (
	"crypto/rand"
	"encoding/hex"
	"strings"

	"mellium.im/xmpp/stream"

	"github.com/openccs/openccs/stanza"
)

const (
	nsClient  = "jabber:client"
	nsStreams = "http://etherx.jabber.org/streams"
	nsSASL    = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsBind    = "urn:ietf:params:xml:ns:xmpp-bind"
	nsSession = "urn:ietf:params:xml:ns:xmpp-session"
	nsPing    = "urn:xmpp:ping"
	nsRoster  = "jabber:iq:roster"
	nsDisco   = "http://jabber.org/protocol/disco#info"

	// Clients search for these texts literally (CCS 1.4, 1.5, 1.7, 1.11).
	featuresSASL = `<stream:features><mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>X-OAUTH2</mechanism><mechanism>X-GOOGLE-TOKEN</mechanism><mechanism>PLAIN</mechanism></mechanisms></stream:features>`
	featuresBind = `<stream:features><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/><session xmlns="urn:ietf:params:xml:ns:xmpp-session"/></stream:features>`
	saslSuccess  = `<success xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>`
	saslEmpty    = `<challenge xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>`
	streamEnd    = `</stream:stream>`
)

// appendHeader appends the server's stream header in the form of CCS 1.4: no XML declaration, and a
// new id each time.
func appendHeader(b []byte, from string) []byte {
	b = append(b, `<stream:stream from="`...)
	b = stanza.AppendEscaped(b, from)
	b = append(b, `" id="`...)
	b = append(b, randomHex(8)...)
	return append(b, `" version="1.0" xmlns:stream="http://etherx.jabber.org/streams" xmlns="jabber:client">`...)
}

// appendStreamError appends a stream error and the end of the stream (CCS 1.10).
func appendStreamError(b []byte, e stream.Error) []byte {
	b = append(b, `<stream:error><`...)
	b = append(b, e.Err...)
	b = append(b, ` xmlns="urn:ietf:params:xml:ns:xmpp-streams"/></stream:error>`...)
	return append(b, streamEnd...)
}

func appendSASLFailure(b []byte, condition string) []byte {
	b = append(b, `<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><`...)
	b = append(b, condition...)
	return append(b, `/></failure>`...)
}

// randomHex returns n random bytes in upper-case hexadecimal.
func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return strings.ToUpper(hex.EncodeToString(b))
}

// isHostName reports whether s can be used as the domain of an address. Some clients put a phrase
// or an address of the IPv6 form into their stream's to (CCS 1.3, 1.4).
func isHostName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.':
		default:
			return false
		}
	}
	return s[0] != '.' && s[0] != '-'
}
