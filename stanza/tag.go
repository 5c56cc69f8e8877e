package stanza

import (
	"bytes"
	"fmt"
	"strings"
)

// These are the namespaces that Reader itself must recognise.
const (
	streamSpace  = "http://etherx.jabber.org/streams"
	payloadSpace = "google:mobile:data"
	xmlSpace     = "http://www.w3.org/XML/1998/namespace"
	xmlnsSpace   = "http://www.w3.org/2000/xmlns/"
)

// binding is a namespace declaration in scope. Those of the stream header have depth 0.
type binding struct {
	prefix, space string
	depth         int
}

// attribute is an attribute of the current tag.
type attribute struct {
	prefix, local string
	value         string // unescaped
	at            int    // offset in the chunk, for errors
}

// segment is a piece of the payload, as offsets from the start of the element.
type segment struct {
	start, end int
	cdata      bool
}

// finishTag reads the start tag from r.token to r.scan and opens its element.
func (r *Reader) finishTag() {
	end := r.scan - 1
	selfClosed := r.buf[end-1] == '/'
	if selfClosed {
		end--
	}
	if len(r.stack) == r.limits.Depth {
		r.fail("policy-violation", r.token, fmt.Sprintf("elements nested deeper than %d", r.limits.Depth))
		return
	}
	nameStart := r.token + 1
	nameEnd := r.endOfName(nameStart, end)
	prefix, local, ok := splitName(r.text(nameStart, nameEnd))
	if !ok {
		r.invalid(nameStart, "malformed element name")
		return
	}
	depth := len(r.stack) + 1
	if r.inHeader {
		depth = 0
	}
	if !r.readAttributes(nameEnd, end) || !r.declare(depth) {
		return
	}
	space, ok := r.resolve(prefix)
	if !ok {
		r.fail("invalid-xml", nameStart, fmt.Sprintf("undeclared prefix %q", prefix))
		return
	}
	if !r.checkAttributes() {
		return
	}
	switch depth {
	case 0:
		r.openStream(space, local, r.text(nameStart, nameEnd), selfClosed)
		return
	case 1:
		if space == streamSpace && local == "stream" {
			r.fail("bad-format", r.token, "stream header inside a stream")
			return
		}
		r.openElement(space, local)
	case 2:
		r.openChild(space, local, selfClosed)
	}
	r.stack = append(r.stack, r.text(nameStart, nameEnd))
	if selfClosed {
		r.closeElement()
	}
}

// openStream makes the header from its start tag. It copies the strings, because they live as long
// as the stream.
func (r *Reader) openStream(space, local, name string, selfClosed bool) {
	if space != streamSpace {
		r.fail("invalid-namespace", r.token, fmt.Sprintf("stream in namespace %q", space))
		return
	}
	if local != "stream" {
		r.fail("bad-format", r.token, fmt.Sprintf("%s instead of a stream", local))
		return
	}
	if !r.checkCharacters() {
		return
	}
	r.streamName = strings.Clone(name)
	for i := range r.scope {
		b := &r.scope[i]
		b.prefix, b.space = strings.Clone(b.prefix), strings.Clone(b.space)
	}
	h := &Header{SelfClosed: selfClosed}
	h.DefaultNS, _ = r.resolve("")
	for _, a := range r.attrs {
		switch {
		case a.prefix == "xml" && a.local == "lang":
			h.Lang = strings.Clone(a.value)
		case a.prefix != "":
		case a.local == "to":
			h.To = strings.Clone(a.value)
		case a.local == "from":
			h.From = strings.Clone(a.value)
		case a.local == "id":
			h.ID = strings.Clone(a.value)
		case a.local == "version":
			h.Version = strings.Clone(a.value)
		}
	}
	r.header = h
	r.found = foundHeader
}

func (r *Reader) openElement(space, local string) {
	r.cur = Element{Space: space, Local: local}
	r.segments = r.segments[:0]
	for _, a := range r.attrs {
		if a.prefix != "" {
			continue
		}
		switch a.local {
		case "id":
			r.cur.ID, r.cur.HasID = a.value, true
		case "to":
			r.cur.To, r.cur.HasTo = a.value, true
		case "from":
			r.cur.From = a.value
		case "type":
			r.cur.Type = a.value
		}
	}
}

func (r *Reader) openChild(space, local string, selfClosed bool) {
	if r.cur.ChildLocal == "" {
		r.cur.ChildSpace, r.cur.ChildLocal = space, local
	}
	if r.cur.Local == "message" && space == payloadSpace && local == "gcm" && !r.cur.HasPayload {
		r.cur.HasPayload = true
		r.inPayload = !selfClosed
	}
}

// finishEndTag reads the end tag from r.token to r.scan and closes the element that it names.
func (r *Reader) finishEndTag() {
	name := bytes.TrimRight(r.buf[r.token+2:r.scan-1], " \t\r\n")
	switch {
	case len(r.stack) > 0:
		if open := r.stack[len(r.stack)-1]; string(name) != open {
			r.invalid(r.token, fmt.Sprintf("</%.64s> ends <%.64s>", name, open))
			return
		}
		r.closeElement()
	case r.inHeader && r.lastName != "" && string(name) == r.lastName:
		r.found = foundEnd
	case r.inHeader || string(name) != r.streamName:
		r.invalid(r.token, fmt.Sprintf("</%.64s> ends nothing", name))
	default:
		r.found = foundEnd
	}
}

func (r *Reader) closeElement() {
	r.stack = r.stack[:len(r.stack)-1]
	for n := len(r.scope); n > 0 && r.scope[n-1].depth > len(r.stack); n-- {
		r.scope = r.scope[:n-1]
	}
	switch len(r.stack) {
	case 0:
		r.finishElement()
	case 1:
		r.inPayload = false
	}
}

func (r *Reader) finishElement() {
	if !r.checkCharacters() || !r.collectPayload() {
		return
	}
	r.cur.Raw = r.buf[r.start:r.scan:r.scan]
	r.found = foundElement
	r.learn()
}

// finishText processes the character data from start to end.
func (r *Reader) finishText(start, end int, cdata bool) {
	switch {
	case start == end:
	case r.inPayload && len(r.stack) == 2:
		r.segments = append(r.segments, segment{start - r.start, end - r.start, cdata})
	case !cdata:
		if at := checkReferences(r.buf[start:end]); at >= 0 {
			r.invalid(start+at, badReference)
		}
	}
}

// collectPayload joins the payload's segments. A single segment without references, the usual
// case, stays in place. Otherwise collectPayload moves the text together over the markup between
// the segments, because nothing reads that markup after the element is complete. The exception is
// an error, whose error child the caller decodes.
func (r *Reader) collectPayload() bool {
	if len(r.segments) == 0 {
		return true
	}
	first, last := r.segments[0], r.segments[len(r.segments)-1]
	payload := r.buf[r.start+first.start : r.start+last.end]
	inPlace := r.cur.Type != "error"
	if !inPlace {
		payload = make([]byte, len(payload))
	}
	next := 0
	for _, s := range r.segments {
		from := r.buf[r.start+s.start : r.start+s.end]
		if s.cdata || bytes.IndexByte(from, '&') < 0 {
			if !inPlace || next != s.start-first.start {
				copy(payload[next:], from)
			}
			next += len(from)
			continue
		}
		n, at := unescape(payload[next:], from)
		if at >= 0 {
			r.invalid(r.start+s.start+at, badReference)
			return false
		}
		next += n
	}
	r.cur.Payload = payload[:next:next]
	return true
}

// readAttributes reads the text between the name of a tag and its end into r.attrs.
func (r *Reader) readAttributes(i, end int) bool {
	b := r.buf
	r.attrs = r.attrs[:0]
	for {
		start := i
		for i < end && spaces[b[i]] {
			i++
		}
		if i == end {
			return true
		}
		if i == start {
			r.invalid(i, "malformed tag")
			return false
		}
		if len(r.attrs) == r.limits.Attrs {
			r.fail("policy-violation", i, fmt.Sprintf("more than %d attributes", r.limits.Attrs))
			return false
		}
		name := i
		i = r.endOfName(i, end)
		prefix, local, ok := splitName(r.text(name, i))
		if !ok {
			r.invalid(name, "malformed attribute name")
			return false
		}
		for i < end && spaces[b[i]] {
			i++
		}
		if i < end && b[i] == '=' {
			i++
		} else {
			r.invalid(i, "attribute without a value")
			return false
		}
		for i < end && spaces[b[i]] {
			i++
		}
		if i == end || b[i] != '"' && b[i] != '\'' {
			r.invalid(i, "attribute value without quotes")
			return false
		}
		quote := b[i]
		i++
		n := bytes.IndexByte(b[i:end], quote)
		if n < 0 { // only in an XML declaration; a tag's end is only searched for outside quotes
			r.invalid(i, "malformed tag")
			return false
		}
		value, ok := r.attributeValue(i, i+n)
		if !ok {
			return false
		}
		i += n + 1
		r.attrs = append(r.attrs, attribute{prefix, local, value, name})
	}
}

func (r *Reader) attributeValue(start, end int) (string, bool) {
	raw := r.buf[start:end]
	if i := bytes.IndexByte(raw, '<'); i >= 0 {
		r.invalid(start+i, "< in an attribute value")
		return "", false
	}
	if bytes.IndexByte(raw, '&') < 0 {
		return r.text(start, end), true
	}
	value := make([]byte, len(raw))
	n, at := unescape(value, raw)
	if at >= 0 {
		r.invalid(start+at, badReference)
		return "", false
	}
	return string(value[:n]), true
}

// declare brings the namespace declarations among r.attrs into scope.
func (r *Reader) declare(depth int) bool {
	for i := range r.attrs {
		a := &r.attrs[i]
		prefix := ""
		switch {
		case a.prefix == "xmlns":
			prefix = a.local
			if prefix == "xmlns" || a.value == "" || (prefix == "xml") != (a.value == xmlSpace) || a.value == xmlnsSpace {
				r.invalid(a.at, "forbidden namespace declaration")
				return false
			}
		case a.prefix == "" && a.local == "xmlns":
			if a.value == xmlSpace || a.value == xmlnsSpace {
				r.invalid(a.at, "forbidden namespace declaration")
				return false
			}
		default:
			continue
		}
		r.scope = append(r.scope, binding{prefix, a.value, depth})
	}
	return true
}

// resolve returns the namespace of a prefix, which may be empty.
func (r *Reader) resolve(prefix string) (space string, ok bool) {
	for i := len(r.scope) - 1; i >= 0; i-- {
		if b := &r.scope[i]; b.prefix == prefix {
			return b.space, true
		}
	}
	if prefix == "xml" {
		return xmlSpace, true
	}
	return "", prefix == ""
}

// checkAttributes refuses undeclared prefixes and two attributes with the same name.
func (r *Reader) checkAttributes() bool {
	for i := range r.attrs {
		a := &r.attrs[i]
		space := ""
		if a.prefix != "" && a.prefix != "xmlns" {
			var ok bool
			if space, ok = r.resolve(a.prefix); !ok {
				r.fail("invalid-xml", a.at, fmt.Sprintf("undeclared prefix %q", a.prefix))
				return false
			}
		}
		for j := range i {
			if b := &r.attrs[j]; a.local == b.local && (a.prefix == b.prefix || r.sameSpace(space, b.prefix)) {
				r.invalid(a.at, fmt.Sprintf("attribute %.64q twice", a.local))
				return false
			}
		}
	}
	return true
}

// sameSpace reports whether an attribute's prefix resolves to space. An attribute without a prefix
// has no namespace.
func (r *Reader) sameSpace(space, prefix string) bool {
	if space == "" || prefix == "" {
		return false
	}
	other, _ := r.resolve(prefix)
	return other == space
}

// finishDecl checks the XML declaration from r.token to end, the position of its ?>.
func (r *Reader) finishDecl(end int) {
	i := r.token + len(openDecl)
	if end <= i || r.text(r.token, i) != openDecl || !spaces[r.buf[i]] {
		r.fail("restricted-xml", r.token, "processing instruction")
		return
	}
	if !r.readAttributes(i, end) {
		return
	}
	if len(r.attrs) == 0 || r.attrs[0].local != "version" || !strings.HasPrefix(r.attrs[0].value, "1.") {
		r.invalid(r.token, "XML declaration without version 1")
		return
	}
	for _, a := range r.attrs[1:] {
		switch {
		case a.local == "encoding" && !strings.EqualFold(a.value, "UTF-8"):
			r.fail("unsupported-encoding", a.at, fmt.Sprintf("encoding %.64q", a.value))
			return
		case a.local != "encoding" && a.local != "standalone":
			r.invalid(a.at, "malformed XML declaration")
			return
		}
	}
}

// endOfName returns the end of the name at i.
func (r *Reader) endOfName(i, end int) int {
	for i < end && nameByte[r.buf[i]] {
		i++
	}
	return i
}

// splitName splits a qualified name at its colon.
func splitName(name string) (prefix, local string, ok bool) {
	if i := strings.IndexByte(name, ':'); i >= 0 {
		prefix, local = name[:i], name[i+1:]
		if prefix == "" || !nameStart[prefix[0]] || strings.IndexByte(local, ':') >= 0 {
			return "", "", false
		}
	} else {
		local = name
	}
	return prefix, local, local != "" && nameStart[local[0]]
}
