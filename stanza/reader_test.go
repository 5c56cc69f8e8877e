package stanza_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/stanza"
)

// script is a connection whose reads each yield one string and then block forever. A test that
// reaches the end fails.
type script struct {
	t     *testing.T
	reads []string
	err   error // instead of blocking
	held  func() int
	most  int // the result of held at the end of the script
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.reads) == 0 {
		if s.err == nil {
			s.t.Error("Reader reads although it needn't")
			return 0, io.EOF
		}
		if s.held != nil {
			s.most = s.held()
		}
		return 0, s.err
	}
	n := copy(p, s.reads[0])
	if s.reads[0] = s.reads[0][n:]; s.reads[0] == "" {
		s.reads = s.reads[1:]
	}
	return n, nil
}

func TestLimits(t *testing.T) {
	const limit = 4096
	fits := `<message>` + strings.Repeat("x", limit-len(`<message></message>`)) + `</message>`
	for _, tt := range []struct {
		name, text string
		column     int // of the error, 0 if there is none
	}{
		{"an element of exactly the limit passes", fits, 0},
		{"one byte more does not", strings.Replace(fits, "x", "xx", 1), limit + 1},
		{"white space before an element does not count", strings.Repeat(" \n", 2*limit) + fits, 0},
		{"white space beside stray text does not count", "x" + strings.Repeat(" ", 2*limit) + "x" + fits, limit - 1},
		{"stray text before an element counts", `\n` + fits, limit - 1},
		{"stray text alone is bounded", strings.Repeat("x ", 2*limit), 1},
		{"an attribute is bounded", `<iq id="` + strings.Repeat("x", 2*limit), limit + 1},
		{"a tag is bounded", `<iq ` + strings.Repeat(" ", 2*limit), limit + 1},
		{"an end tag is bounded", `<iq></` + strings.Repeat("x", 2*limit), limit + 1},
		{"a CDATA section is bounded", `<iq><![CDATA[` + strings.Repeat("]", 2*limit), limit + 1},
		{"text is bounded", `<iq>` + strings.Repeat("x", 2*limit), limit + 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1, 7, 100, 3 * limit} {
				r := stanza.NewReader(&pieces{opening + tt.text + fits, size}, stanza.BeforeBind)
				_, err := r.Header()
				require.NoError(t, err)
				var e stanza.Element
				err = r.Next(&e)
				if tt.column == 0 {
					require.NoError(t, err)
					assert.Equal(t, strings.TrimSpace(tt.text), string(e.Raw))
					require.NoError(t, r.Next(&e))
					assert.Equal(t, fits, string(e.Raw))
					continue
				}
				var se *stanza.StreamError
				require.ErrorAs(t, err, &se)
				assert.Equal(t, "policy-violation", se.Condition)
				assert.Equal(t, tt.column, se.Column)
				assert.LessOrEqual(t, r.Held(), 2*limit+4096)
			}
		})
	}
}

// pieces yields a text in reads of at most size bytes.
type pieces struct {
	text string
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.text == "" {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.size)], p.text)
	p.text = p.text[n:]
	return n, nil
}

func TestTheLimitIsEnforcedBeforeTheRestIsRead(t *testing.T) {
	src := &script{t: t, reads: []string{opening, strings.Repeat("x", 4097)}}
	r := stanza.NewReader(src, stanza.BeforeBind)
	_, err := r.Header()
	require.NoError(t, err)
	var se *stanza.StreamError
	require.ErrorAs(t, r.Next(new(stanza.Element)), &se)
	assert.Equal(t, "policy-violation", se.Condition)
}

func TestTheHeaderIsLimited(t *testing.T) {
	for _, text := range []string{strings.Repeat(" ", 5000), `<?xml ` + strings.Repeat(" ", 5000), `<stream:stream to='` + strings.Repeat("x", 5000)} {
		_, err := stanza.NewReader(strings.NewReader(text), stanza.BeforeBind).Header()
		var se *stanza.StreamError
		require.ErrorAs(t, err, &se)
		assert.Equal(t, "policy-violation", se.Condition)
	}
}

func TestALimitRaisedAfterBindHoldsForWhatHasArrived(t *testing.T) {
	big := message(payload(8000))
	r := stanza.NewReader(strings.NewReader(opening+`<iq id='b'/>`+big), stanza.BeforeBind)
	_, err := r.Header()
	require.NoError(t, err)
	var e stanza.Element
	require.NoError(t, r.Next(&e))
	r.Ready()
	r.SetLimits(stanza.AfterBind)
	require.NoError(t, r.Next(&e))
	assert.Equal(t, payload(8000), string(e.Payload))
}

func TestReady(t *testing.T) {
	one := message(`{}`)
	src := &script{t: t, reads: []string{opening + one + one + one[:20], one[20:] + " ", "</stream:stream>"}}
	r := stanza.NewReader(src, stanza.AfterBind)
	_, err := r.Header()
	require.NoError(t, err)
	var e stanza.Element
	for range 2 {
		assert.True(t, r.Ready(), "a whole element is there")
		assert.True(t, r.Ready(), "asking changes nothing")
		require.NoError(t, r.Next(&e))
		assert.Equal(t, "{}", string(e.Payload))
	}
	assert.False(t, r.Ready(), "half an element")
	require.NoError(t, r.Next(&e))
	assert.False(t, r.Ready(), "white space")
	require.Equal(t, io.EOF, r.Next(&e))
	assert.True(t, r.Ready(), "the end")
	require.Equal(t, io.EOF, r.Next(&e))
}

func TestReadySeesAnErrorThatIsThere(t *testing.T) {
	r := open(t, &script{t: t, reads: []string{opening + `<iq></x>`}})
	assert.True(t, r.Ready())
	var e stanza.Element
	err := r.Next(&e)
	require.Error(t, err)
	assert.Equal(t, err, r.Next(&e), "an error stays")
}

func TestReadyDoesNotSpoilARestart(t *testing.T) {
	r := open(t, &script{t: t, reads: []string{opening + `<auth/>` + opening + `<iq/>`}})
	var e stanza.Element
	require.NoError(t, r.Next(&e))
	assert.True(t, r.Ready(), "a header is an error here, but the caller may want one")
	_, err := r.Header()
	require.NoError(t, err)
	require.NoError(t, r.Next(&e))
	assert.Equal(t, "iq", e.Local)
}

func TestARestartForgetsTheOldStream(t *testing.T) {
	r := open(t, strings.NewReader(strings.Replace(opening, " to=", " xmlns:x='y' to=", 1)+`<x:auth/>`+opening+`<x:iq/>`))
	var e stanza.Element
	require.NoError(t, r.Next(&e))
	assert.Equal(t, "y", e.Space)
	_, err := r.Header()
	require.NoError(t, err)
	var se *stanza.StreamError
	require.ErrorAs(t, r.Next(&e), &se)
	assert.Equal(t, "invalid-xml", se.Condition)
}

func TestReadErrors(t *testing.T) {
	half := message(`{}`)
	src := &script{t: t, reads: []string{opening, half[:10]}, err: os.ErrDeadlineExceeded}
	r := open(t, src)
	var e stanza.Element
	require.ErrorIs(t, r.Next(&e), os.ErrDeadlineExceeded)
	require.ErrorIs(t, r.Next(&e), os.ErrDeadlineExceeded)
	src.reads = []string{half[10:]}
	require.NoError(t, r.Next(&e), "after a deadline the reader goes on where it was")
	assert.Equal(t, "{}", string(e.Payload))

	broken := errors.New("broken")
	_, err := stanza.NewReader(&script{t: t, err: broken}, stanza.AfterBind).Header()
	require.ErrorIs(t, err, broken)
	_, err = stanza.NewReader(strings.NewReader(""), stanza.AfterBind).Header()
	require.Equal(t, io.ErrUnexpectedEOF, err)
	_, err = stanza.NewReader(nothing{}, stanza.AfterBind).Header()
	require.ErrorIs(t, err, io.ErrNoProgress)
}

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }

// Returned strings and bytes stay unchanged, however far the reader has read on.
func TestWhatIsHandedOutIsNeverOverwritten(t *testing.T) {
	var texts, payloads []string
	for i := range 400 {
		p := payload(100 + i*37%5000)
		payloads = append(payloads, p)
		if i%2 == 0 {
			p = strings.ReplaceAll(p, `"`, "&#34;")
		}
		texts = append(texts, strings.Replace(message(p), `id=""`, `id="`+strings.Repeat("i", i%50)+`"`, 1))
	}
	for _, size := range []int{1, 1000, 16384, 1 << 20} {
		r := open(t, &pieces{opening + strings.Join(texts, "\n"), size})
		all := make([]stanza.Element, len(texts))
		in := make([]stanza.Inbound, len(texts))
		for i := range all {
			require.NoError(t, r.Next(&all[i]))
			_ = stanza.DecodeInbound(all[i].Payload, &stanza.Rules{MaxPayload: 1 << 20}, &in[i])
		}
		for i, e := range all {
			require.Equal(t, payloads[i], string(e.Payload))
			require.Equal(t, strings.Repeat("i", i%50), e.ID)
			require.Equal(t, "google:mobile:data", e.ChildSpace)
			require.Equal(t, "m-1234567890", in[i].Downstream.MessageID)
		}
	}
}

func TestAppendingToWhatIsHandedOutHarmsNobody(t *testing.T) {
	r := open(t, strings.NewReader(opening+message(`{"a":1}`)+message(`{"b":2}`)))
	var a, b stanza.Element
	require.NoError(t, r.Next(&a))
	_ = append(a.Raw, "overwritten?"...)
	_ = append(a.Payload, "overwritten?"...)
	require.NoError(t, r.Next(&b))
	assert.Equal(t, `{"b":2}`, string(b.Payload))
}

func TestAnIdleReaderHoldsLittle(t *testing.T) {
	burst := strings.Repeat(message(payload(3000)), 100)
	src := &script{t: t, reads: []string{opening + burst}, err: io.ErrClosedPipe}
	r := open(t, src)
	src.held = r.Held
	var e stanza.Element
	most := 0
	for {
		err := r.Next(&e)
		if err != nil {
			break
		}
		most = max(most, r.Held())
	}
	assert.Equal(t, 32<<10, most, "under load")
	assert.LessOrEqual(t, src.most, 4<<10, "while it waits")
}

func TestDecodeReadsAColdElement(t *testing.T) {
	r := open(t, strings.NewReader(opening+`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AD&#69;=</auth>`))
	var e stanza.Element
	require.NoError(t, r.Next(&e))
	var auth struct {
		Mechanism string `xml:"mechanism,attr"`
		Response  string `xml:",chardata"`
	}
	require.NoError(t, e.Decode(&auth))
	assert.Equal(t, "PLAIN", auth.Mechanism)
	assert.Equal(t, "ADE=", auth.Response)
}

func TestStreamErrorTellsWhere(t *testing.T) {
	r := open(t, bytes.NewReader([]byte(opening+"\n<message>\n <body>a & b</body></message>")))
	err := r.Next(new(stanza.Element))
	require.EqualError(t, err, "invalid-xml: & without a predefined entity or a character behind it (line 2, column 10)")
}

func TestAnErrorMessageKeepsItsXML(t *testing.T) {
	text := string(stanza.AppendStanzaError(nil, &stanza.StanzaError{To: "a", Payload: []byte(`{"a":"<&>"}`), HasPayload: true, Code: 400, Type: "modify", Condition: "bad-request", Text: "why"}))
	r := open(t, strings.NewReader(opening+text+text))
	var e stanza.Element
	for range 2 {
		require.NoError(t, r.Next(&e))
		assert.Equal(t, `{"a":"<&>"}`, string(e.Payload))
		assert.Equal(t, text, string(e.Raw))
		var content struct {
			Text string `xml:"error>text"`
		}
		require.NoError(t, e.Decode(&content))
		assert.Equal(t, "why", content.Text)
	}
}
