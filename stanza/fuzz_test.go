package stanza_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/stanza"
)

// FuzzReader compares a Reader with itself byte by byte, and with encoding/xml for input that both
// accept.
func FuzzReader(f *testing.F) {
	for _, v := range vectors(f, "stream") {
		f.Add(v.data)
	}
	for _, s := range likeStreams {
		f.Add([]byte(s.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		whole := converse(bytes.NewReader(data))
		require.Equal(t, whole, converse(iotest.OneByteReader(bytes.NewReader(data))))
		require.Equal(t, whole, converse(iotest.HalfReader(bytes.NewReader(data))))

		r := stanza.NewReader(bytes.NewReader(data), stanza.AfterBind)
		h, err := r.Header()
		if err != nil || bytes.IndexByte(data, '\r') >= 0 { // encoding/xml makes it \n, Reader does not
			return
		}
		d := xml.NewDecoder(bytes.NewReader(data))
		root := nextStart(d)
		if root == nil {
			return
		}
		require.Equal(t, "stream", root.Name.Local)
		require.Equal(t, h.To, attr(root, "to"))
		for {
			var e stanza.Element
			if r.Next(&e) != nil {
				return
			}
			start := nextStart(d)
			if start == nil {
				return
			}
			require.Equal(t, start.Name.Local, e.Local)
			require.Equal(t, start.Name.Space, e.Space)
			require.Equal(t, attr(start, "id"), e.ID)
			require.Equal(t, attr(start, "to"), e.To)
			require.Equal(t, attr(start, "from"), e.From)
			require.Equal(t, attr(start, "type"), e.Type)
			var content struct {
				GCM []struct {
					Text []byte `xml:",chardata"`
				} `xml:"google:mobile:data gcm"`
			}
			if d.DecodeElement(&content, start) != nil {
				return
			}
			if e.HasPayload {
				require.NotEmpty(t, content.GCM)
				require.Equal(t, string(content.GCM[0].Text), string(e.Payload))
			} else if e.Local == "message" {
				require.Empty(t, content.GCM)
			}
		}
	})
}

// nextStart returns the next start tag of the depth d is at, or nil if encoding/xml refuses the
// input.
func nextStart(d *xml.Decoder) *xml.StartElement {
	for {
		tok, err := d.Token()
		if err != nil {
			return nil
		}
		if start, ok := tok.(xml.StartElement); ok {
			return &start
		}
	}
}

func attr(e *xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name == (xml.Name{Local: name}) {
			return a.Value
		}
	}
	return ""
}

// FuzzDecodeInbound checks that encoding/json accepts what DecodeInbound accepts, with the same
// values, and that every refused payload can be answered.
func FuzzDecodeInbound(f *testing.F) {
	for _, v := range vectors(f, "payload") {
		f.Add(v.data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var in stanza.Inbound
		err := stanza.DecodeInbound(data, nil, &in)
		m := &in.Downstream
		checkAnswer(t, m.To, m.MessageID, err)
		if err != nil {
			return
		}
		var all map[string]any
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		require.NoError(t, d.Decode(&all))
		require.Equal(t, io.EOF, d.Decode(new(any)))
		require.Equal(t, asText(all["message_id"]), m.MessageID)
		to, isString := all["to"].(string)
		require.Equal(t, isString, in.HasTo)
		require.Equal(t, to, m.To)
		if in.Type != stanza.TypeDownstream {
			return
		}
		require.Equal(t, asText(all["condition"]), m.Condition)
		require.Equal(t, asText(all["collapse_key"]), m.CollapseKey)
		require.Equal(t, asText(all["restricted_package_name"]), m.RestrictedPackage)
		require.Equal(t, all["dry_run"] == true, m.DryRun)
		require.Equal(t, all["delivery_receipt_requested"] == true, m.ReceiptRequested)
		if ttl := asText(all["time_to_live"]); ttl == "" {
			require.Equal(t, stanza.MaxTTL, m.TTL)
		} else {
			n, err := strconv.ParseInt(ttl, 10, 64)
			require.NoError(t, err)
			require.Equal(t, time.Duration(n)*time.Second, m.Lifetime())
		}
		checkObject(t, all["data"], m.Data)
		checkObject(t, all["notification"], m.Notification)

		// A client that writes the decoded message writes the same message again.
		again := stanza.AppendDownstream(nil, m)
		r := open(t, io.MultiReader(strings.NewReader(opening), bytes.NewReader(again)))
		var e stanza.Element
		require.NoError(t, r.Next(&e))
		var second stanza.Inbound
		require.NoError(t, stanza.DecodeInbound(e.Payload, nil, &second))
		require.Equal(t, string(m.Data.AppendData(nil)), string(second.Downstream.Data.AppendData(nil)))
		second.Downstream.Data, second.Downstream.Notification = m.Data, m.Notification
		require.Equal(t, *m, second.Downstream)
	})
}

// checkAnswer checks that the answer to a message is a stanza, and JSON, with the same id and to
// in it.
func checkAnswer(t *testing.T, to, id string, err error) {
	answer := stanza.AppendAck(nil, to, id, "")
	var refused *stanza.Error
	if errors.As(err, &refused) {
		answer = stanza.AppendNack(nil, to, id, refused.Code, refused.Description)
		assert.True(t, strings.HasPrefix(refused.Description, "InvalidJson: "))
	}
	var content struct {
		GCM string `xml:"gcm"`
	}
	require.NoError(t, xml.Unmarshal(answer, &content))
	var said struct {
		From string `json:"from"`
		ID   string `json:"message_id"`
	}
	require.NoError(t, json.Unmarshal([]byte(content.GCM), &said))
	require.Equal(t, to, said.From)
	require.Equal(t, id, said.ID)
	require.True(t, utf8.ValidString(to) && utf8.ValidString(id))
}

func checkObject(t *testing.T, want any, got stanza.Object) {
	if want == nil {
		require.Empty(t, got)
		return
	}
	data := got.AppendData(nil)
	require.True(t, data.Valid())
	pairs := map[string]string{} // the last of duplicates, as in encoding/json
	n := 0
	for k, v := range got.All() {
		pairs[k] = v
		n++
	}
	for k := range data.All() {
		require.Contains(t, pairs, k)
		n--
	}
	require.Zero(t, n, "AppendData and All agree")
	for k, v := range want.(map[string]any) {
		if v == nil {
			continue
		}
		switch v := v.(type) {
		case string, json.Number, bool:
			require.Equal(t, asText(v), pairs[k])
		default:
			var nested any
			d := json.NewDecoder(strings.NewReader(pairs[k]))
			d.UseNumber()
			require.NoError(t, d.Decode(&nested))
			require.Equal(t, v, nested)
			var compact bytes.Buffer
			require.NoError(t, json.Compact(&compact, []byte(pairs[k])))
			require.Equal(t, compact.String(), pairs[k])
		}
	}
}

func asText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// FuzzObject checks that All works for any Object, and that the Data of any Object is valid.
func FuzzObject(f *testing.F) {
	f.Add(`{"a":"b","c":[ 1, {"d": null} ]}`, []byte{1, 'a', 1, 'b'})
	f.Fuzz(func(t *testing.T, s string, raw []byte) {
		d := stanza.Object(s).AppendData(nil)
		require.True(t, d.Valid())
		n := 0
		for range stanza.Object(s).All() {
			n++
		}
		for range d.All() {
			n--
		}
		require.Zero(t, n)
		require.True(t, json.Valid(stanza.AppendObject(nil, stanza.Data(raw))))
		var out stanza.Outbound
		if stanza.DecodeOutbound([]byte(s), &out) == nil {
			require.True(t, json.Valid([]byte(s)))
		}
	})
}
