package stanza_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/stanza"
)

// three has messages with the same tags, so that a Reader compares the tags of the next one.
func three(message string) string { return opening + strings.Repeat(message, 3) }

const plain = `<message id="a"><gcm xmlns="google:mobile:data">{}</gcm></message>`

var likeStreams = []struct{ name, text string }{
	{"the same tags", three(plain) + `<message id="a"><gcm xmlns="google:mobile:data">{"b":1}</gcm></message>`},
	{"another id", three(plain) + strings.Replace(plain, `"a"`, `"b"`, 1) + plain},
	{"a reference in the payload", three(plain) + `<message id="a"><gcm xmlns="google:mobile:data">{&quot;&#65;}</gcm></message>` + plain},
	{"a bad reference", three(plain) + `<message id="a"><gcm xmlns="google:mobile:data">{&nbsp;}</gcm></message>`},
	{"a forbidden character", three(plain) + "<message id=\"a\"><gcm xmlns=\"google:mobile:data\">{\x01}</gcm></message>"},
	{"no UTF-8", three(plain) + "<message id=\"a\"><gcm xmlns=\"google:mobile:data\">{\xff}</gcm></message>"},
	{"no payload", three(plain) + `<message id="a"><gcm xmlns="google:mobile:data"></gcm></message>` + plain},
	{"a CDATA section", three(plain) + `<message id="a"><gcm xmlns="google:mobile:data"><![CDATA[{}]]></gcm></message>` + plain},
	{"two pieces", three(plain) + `<message id="a"><gcm xmlns="google:mobile:data">{<x/>}</gcm></message>` + plain},
	{"an element after the payload", three(plain) + `<message id="a"><gcm xmlns="google:mobile:data">{}</gcm><x/></message>` + plain},
	{"a wrong end tag", three(plain) + `<message id="a"><gcm xmlns="google:mobile:data">{}</message></gcm>`},
	{"white space between messages", three(plain) + "\n " + plain + "  " + plain},
	{"an element before the payload", three(`<message><body>&amp;</body><gcm xmlns="google:mobile:data"><y/>{}</gcm></message>`)},
	{"a second gcm", three(`<message><gcm xmlns="google:mobile:data">1</gcm><gcm xmlns="google:mobile:data">2</gcm></message>`)},
	{"a gcm of another namespace", three(`<message><gcm xmlns="other">{}</gcm></message>`)},
	{"no message", three(`<iq id="a"><gcm xmlns="google:mobile:data">{}</gcm></iq>`)},
	{"an error", three(`<message type="error"><gcm xmlns="google:mobile:data">{}</gcm></message>`)},
	{"a stream that is restarted with another namespace", three(plain) + `<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>` +
		strings.Replace(opening, "jabber:client", "jabber:server", 1) + plain + plain},
}

// The results of a Reader do not depend on whether it compares tags or parses them. Byte by byte
// it must parse.
func TestTagsThatAreAlike(t *testing.T) {
	for _, s := range likeStreams {
		t.Run(s.name, func(t *testing.T) {
			whole := converse(strings.NewReader(s.text))
			assert.Equal(t, converse(iotest.OneByteReader(strings.NewReader(s.text))), whole)
		})
	}
}

// A limit also holds for messages with the same tags.
func TestTagsThatAreAlikeAreLimited(t *testing.T) {
	long := strings.Replace(plain, "{}", strings.Repeat("x", 200), 1)
	r := stanza.NewReader(strings.NewReader(three(plain)+plain+long), stanza.Limits{Element: 200, Depth: 16, Attrs: 32})
	_, err := r.Header()
	require.NoError(t, err)
	var e stanza.Element
	for range 4 {
		require.NoError(t, r.Next(&e))
	}
	var broken *stanza.StreamError
	require.ErrorAs(t, r.Next(&e), &broken)
	assert.Equal(t, "policy-violation", broken.Condition)

	r = stanza.NewReader(bytes.NewReader([]byte(three(plain)+plain)), stanza.AfterBind)
	_, err = r.Header()
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, r.Next(&e))
	}
	r.SetLimits(stanza.Limits{Element: 1 << 10, Depth: 1, Attrs: 32})
	require.ErrorAs(t, r.Next(&e), &broken, "lower limits hold from the next element on")
}
