package stanza

import (
	"bytes"
	"strings"
)

// template is the text before the payload of a client's messages. A client writes the same tags
// around each payload, so a Reader compares bytes instead of parsing the tags again. The same
// bytes at the same place in the same stream have the same meaning.
type template struct {
	seen    []byte  // the bytes before the payload of the last parsed message
	head    []byte  // the same for two messages in a row; nil before the first such pair
	element Element // the meaning of head, in its own memory
}

const (
	templateEnd = "</gcm></message>" // comes after the payload of a compared message
	maxTemplate = 256                // bytes of a head
)

// learn records the text before the payload of the element that was just parsed.
func (r *Reader) learn() {
	if len(r.segments) != 1 || r.segments[0].cdata || r.cur.Type == "error" {
		return
	}
	t, s := &r.template, r.segments[0]
	head, end := r.buf[r.start:r.start+s.start], r.buf[r.start+s.end:r.scan]
	switch {
	case len(head) > maxTemplate || string(end) != templateEnd || bytes.Equal(head, t.head):
	case !bytes.Equal(head, t.seen):
		t.seen = append(t.seen[:0], head...)
	default:
		e := r.cur
		for _, s := range [...]*string{&e.Space, &e.Local, &e.ID, &e.To, &e.From, &e.Type, &e.ChildSpace, &e.ChildLocal} {
			*s = strings.Clone(*s)
		}
		e.Raw, e.Payload = nil, nil
		t.head, t.element = bytes.Clone(head), e
	}
}

// compare takes the next element if it matches the template, has arrived completely and ends
// before end. It leaves every other element to the parser.
func (r *Reader) compare(end int) {
	head := r.template.head
	if len(head) == 0 || r.state != inText || r.scan != r.start || len(r.stack) > 0 || r.inHeader {
		return
	}
	b, found := bytes.CutPrefix(r.buf[r.scan:end], head)
	if !found {
		return
	}
	n := bytes.IndexByte(b, '<')
	if n <= 0 || len(b)-n < len(templateEnd) || string(b[n:n+len(templateEnd)]) != templateEnd {
		return
	}
	if badCharacter(b[:n]) >= 0 {
		return
	}
	r.scan += len(head) + n + len(templateEnd)
	r.token = r.scan
	r.cur = r.template.element
	r.cur.Raw = r.buf[r.start:r.scan:r.scan]
	r.segments = append(r.segments[:0], segment{start: len(head), end: len(head) + n})
	if r.collectPayload() {
		r.found = foundElement
	}
}
