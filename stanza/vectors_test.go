package stanza_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/stanza"
)

var update = flag.Bool("update", false, "rewrite the expect lines of testdata/stanza")

// vector is a file of testdata/stanza; its README.md has the format.
type vector struct {
	file, name             string
	expect, source, remark []string
	data                   []byte
}

func vectors(t testing.TB, dir string) []vector {
	files, err := filepath.Glob(filepath.Join("..", "testdata", "stanza", dir, "*.txt"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var all []vector
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		head, data, ok := bytes.Cut(raw, []byte("\n\n"))
		require.True(t, ok, "%s has no blank line", file)
		v := vector{file: file, name: strings.TrimSuffix(filepath.Base(file), ".txt"), data: data}
		for line := range strings.Lines(string(head)) {
			key, value, ok := strings.Cut(strings.TrimSpace(line), ":")
			require.True(t, ok, "%s: %q", file, line)
			value = strings.TrimSpace(value)
			switch {
			case value == "":
			case key == "expect":
				v.expect = append(v.expect, value)
			case key == "source":
				v.source = append(v.source, value)
			case key == "comment":
				v.remark = append(v.remark, value)
			default:
				require.Fail(t, "unknown header", "%s: %q", file, line)
			}
		}
		all = append(all, v)
	}
	return all
}

func (v *vector) check(t *testing.T, got []string) {
	if !*update {
		assert.Equal(t, v.expect, got)
		return
	}
	var b bytes.Buffer
	for _, h := range []struct {
		key   string
		lines []string
	}{{"expect", got}, {"source", v.source}, {"comment", v.remark}} {
		for _, line := range h.lines {
			fmt.Fprintf(&b, "%s: %s\n", h.key, line)
		}
	}
	b.WriteByte('\n')
	b.Write(v.data)
	require.NoError(t, os.WriteFile(v.file, b.Bytes(), 0o644))
	v.expect = got
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t, "stream") {
		t.Run("stream/"+v.name, func(t *testing.T) {
			v.check(t, converse(bytes.NewReader(v.data)))
			assert.Equal(t, v.expect, converse(iotest.OneByteReader(bytes.NewReader(v.data))), "byte by byte")
			assert.Equal(t, v.expect, converse(iotest.DataErrReader(bytes.NewReader(v.data))), "with the error of the last read")
			for i := range v.data {
				src := io.MultiReader(bytes.NewReader(v.data[:i]), bytes.NewReader(v.data[i:]))
				require.Equal(t, v.expect, converse(src), "split at %d", i)
			}
		})
	}
	for _, v := range vectors(t, "payload") {
		t.Run("payload/"+v.name, func(t *testing.T) {
			v.check(t, []string{decoded(v.data)})
		})
	}
}

// converse reads a connection as a server does, and describes the results.
func converse(src io.Reader) []string {
	var said []string
	r := stanza.NewReader(src, stanza.AfterBind)
	header := true
	for {
		var err error
		var e stanza.Element
		if header {
			var h *stanza.Header
			if h, err = r.Header(); err == nil {
				said = append(said, describeHeader(h))
				header = false
				continue
			}
		} else if err = r.Next(&e); err == nil {
			said = append(said, describe(&e))
			header = e.Local == "auth"
			continue
		}
		return append(said, describeEnd(err))
	}
}

func describeHeader(h *stanza.Header) string {
	var b strings.Builder
	b.WriteString("header")
	for _, a := range []struct{ name, value string }{
		{"to", h.To}, {"from", h.From}, {"id", h.ID}, {"version", h.Version}, {"lang", h.Lang}, {"ns", h.DefaultNS},
	} {
		if a.value != "" {
			fmt.Fprintf(&b, " %s=%q", a.name, a.value)
		}
	}
	if h.SelfClosed {
		b.WriteString(" closed")
	}
	return b.String()
}

func describe(e *stanza.Element) string {
	var b strings.Builder
	fmt.Fprintf(&b, "element {%s}%s", e.Space, e.Local)
	if e.HasID {
		fmt.Fprintf(&b, " id=%q", e.ID)
	}
	if e.HasTo {
		fmt.Fprintf(&b, " to=%q", e.To)
	}
	if e.From != "" {
		fmt.Fprintf(&b, " from=%q", e.From)
	}
	if e.Type != "" {
		fmt.Fprintf(&b, " type=%q", e.Type)
	}
	if e.ChildLocal != "" {
		fmt.Fprintf(&b, " child={%s}%s", e.ChildSpace, e.ChildLocal)
	}
	if e.HasPayload {
		fmt.Fprintf(&b, " payload=%q", e.Payload)
	} else {
		fmt.Fprintf(&b, " raw=%d", len(e.Raw))
	}
	return b.String()
}

func describeEnd(err error) string {
	var se *stanza.StreamError
	switch {
	case errors.As(err, &se):
		return fmt.Sprintf("error %s %d:%d %s", se.Condition, se.Line, se.Column, se.Reason)
	case err == io.EOF:
		return "end"
	case err == io.ErrUnexpectedEOF:
		return "eof"
	}
	return "failed " + err.Error()
}

// decoded describes the result of DecodeInbound for a payload.
func decoded(data []byte) string {
	var in stanza.Inbound
	err := stanza.DecodeInbound(data, nil, &in)
	m := in.Downstream
	var refused *stanza.Error
	switch {
	case errors.As(err, &refused) && m.MessageID == "":
		return strings.TrimSpace("stanza-error 400 " + refused.Description)
	case errors.As(err, &refused):
		return strings.TrimSpace(fmt.Sprintf("nack %s from=%q message_id=%q %s", refused.Code, m.To+m.Condition, m.MessageID, refused.Description))
	case err != nil:
		return "failed " + err.Error()
	}
	var b strings.Builder
	b.WriteString([...]string{"downstream", "ack", "nack-from-client"}[in.Type])
	fmt.Fprintf(&b, " message_id=%q", m.MessageID)
	for _, f := range []struct{ name, value string }{
		{"condition", m.Condition}, {"collapse_key", m.CollapseKey}, {"restricted_package_name", m.RestrictedPackage},
	} {
		if f.value != "" {
			fmt.Fprintf(&b, " %s=%q", f.name, f.value)
		}
	}
	if in.HasTo {
		fmt.Fprintf(&b, " to=%q", m.To)
	}
	if m.Priority != stanza.PriorityDefault {
		fmt.Fprintf(&b, " priority=%s", [...]string{"", "normal", "high"}[m.Priority])
	}
	if in.Type == stanza.TypeDownstream && m.TTL != stanza.MaxTTL {
		fmt.Fprintf(&b, " ttl=%s", m.Lifetime())
	}
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"delay_while_idle", m.DelayWhileIdle}, {"delivery_receipt_requested", m.ReceiptRequested}, {"dry_run", m.DryRun},
		{"content_available", m.ContentAvailable}, {"mutable_content", m.MutableContent},
	} {
		if f.set {
			b.WriteString(" " + f.name)
		}
	}
	for _, o := range []struct {
		name string
		text stanza.Object
	}{{"data", m.Data}, {"notification", m.Notification}} {
		if o.text == "" {
			continue
		}
		fmt.Fprintf(&b, " %s={", o.name)
		d := o.text.AppendData(nil)
		if !d.Valid() {
			b.WriteString("INVALID")
		}
		sep := ""
		for k, v := range d.All() {
			if len(v) > 100 {
				v = fmt.Sprintf("%s... %d bytes", v[:8], len(v))
			}
			fmt.Fprintf(&b, "%s%q:%q", sep, k, v)
			sep = " "
		}
		b.WriteByte('}')
	}
	return b.String()
}
