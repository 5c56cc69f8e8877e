package stanza

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"unsafe"
)

// Limits bound how much a peer can make a Reader hold. Input over a limit is a policy-violation
// (CCS 2.6).
type Limits struct {
	Element int // bytes of a top-level element and the skipped text before it, or of a stream header
	Depth   int // nesting of elements; the top-level element is 1
	Attrs   int // attributes of one tag, namespace declarations included
}

// These are the limits of a connection. A peer is not authenticated before bind, so its limits are
// small.
var (
	BeforeBind = Limits{Element: 4 << 10, Depth: 16, Attrs: 32}
	AfterBind  = Limits{Element: 256 << 10, Depth: 16, Attrs: 32}
)

// These are the sizes of chunks. A reader that waits with no unfinished input holds at most a
// small one.
const (
	smallChunk = 4 << 10
	largeChunk = 32 << 10
)

// Reader splits the bytes of a connection into the stream header and whole top-level elements (CCS
// 1.3, 1.11). It checks that they are well-formed, resolves namespaces, and refuses what XMPP
// forbids. Its results, errors included, do not depend on how the bytes were split into reads.
//
// Reader never writes to memory that it has returned. It reads into chunks. When a chunk is used
// up, it takes a new one and moves only the unfinished rest to it. So the strings and bytes of an
// Element stay valid as long as they are referenced. The price is that a short string keeps its
// whole chunk alive, so clone strings that live much longer than their neighbours.
//
// A Reader belongs to one goroutine.
type Reader struct {
	src    io.Reader
	limits Limits

	buf     []byte // the bytes read into the chunk; the capacity is the whole chunk
	start   int    // start of the unfinished header or element; the rest was returned or skipped
	scan    int    // the next byte to look at
	token   int    // start of the unfinished tag or text
	skipped int    // bytes skipped since the last element, except white space between elements

	state    scanState
	quote    byte // the quote that ends the attribute value, in inQuote
	inHeader bool
	declared bool // the XML declaration of this header was seen
	found    found
	failure  *StreamError // if found is foundError
	readErr  error        // came together with the last bytes; kept until these are used up

	streamName string   // of the open stream; the end tag must repeat it
	lastName   string   // of the stream that the peer should restart, which may end instead
	stack      []string // names of the open elements, as written
	scope      []binding
	attrs      []attribute

	header    *Header
	cur       Element
	inPayload bool // inside the gcm element that cur.Payload comes from
	segments  []segment
	template  template
}

// Header is the start tag of a stream. Its attribute values are unescaped and do not share memory
// with the Reader.
type Header struct {
	To, From, ID, Version, Lang string
	DefaultNS                   string // the namespace of unprefixed stanzas
	SelfClosed                  bool   // the stream is over (CCS 1.3 rule 5); Next returns io.EOF
}

// Element is a top-level element of the stream.
type Element struct {
	// Raw is the element as the peer sent it. Do not use it for a message with a payload unless
	// its type is error, because the payload may have been unescaped in place.
	Raw []byte

	Space, Local       string // the resolved namespace and the local name
	ID, To, From, Type string // unescaped attributes
	HasID, HasTo       bool   // answers differ for empty and absent ones (CCS 1.7, 3.3)

	// ChildSpace and ChildLocal name the first child, which says what an iq is about.
	ChildSpace, ChildLocal string

	// Payload is the character data of the first {google:mobile:data}gcm child of a message,
	// unescaped and with CDATA sections joined (CCS 2.1).
	Payload    []byte
	HasPayload bool
}

// Decode decodes Raw with encoding/xml: an element of negotiation, an iq or an error. Prefixes
// declared in the stream header are unknown to it, so the fields of v should name no namespaces.
// Space and ChildSpace have them.
func (e *Element) Decode(v any) error {
	d := xml.NewDecoder(bytes.NewReader(e.Raw))
	d.DefaultSpace = e.Space
	return d.Decode(v)
}

// StreamError is a violation by the peer that ends its stream. Condition is for the peer, the rest
// for the log (CCS 1.10).
type StreamError struct {
	Condition string // invalid-xml, restricted-xml, policy-violation, bad-format, ...
	Reason    string

	// Line and Column give the position, counted in lines and bytes from 1 at the start of the
	// element or header.
	Line, Column int
}

func (e *StreamError) Error() string {
	return fmt.Sprintf("%s: %s (line %d, column %d)", e.Condition, e.Reason, e.Line, e.Column)
}

// found is the result that the bytes read so far have yielded and no call has returned yet.
type found uint8

const (
	foundNothing found = iota // needs more bytes
	foundHeader
	foundElement
	foundEnd   // of the stream
	foundError // Reader.failure
	foundLimit // not kept, because SetLimits may raise the limit
)

// NewReader returns a Reader of r. r must yield the connection's first byte first. The Reader
// allocates no buffer before the first call of Header.
func NewReader(r io.Reader, l Limits) *Reader {
	return &Reader{src: r, limits: l}
}

// SetLimits replaces the limits. The new ones hold from the element that the next call of Next
// returns.
func (r *Reader) SetLimits(l Limits) { r.limits, r.template = l, template{} }

// Header reads the optional XML declaration and the start tag of the stream. Call it first, and
// again after SASL, where the stream restarts (CCS 1.7). The errors are those of Next.
func (r *Reader) Header() (*Header, error) {
	r.scan, r.token = r.start, r.start
	r.state, r.inHeader, r.declared = inText, true, false
	r.found, r.failure = foundNothing, nil
	r.lastName, r.streamName, r.stack, r.scope = r.streamName, "", r.stack[:0], r.scope[:0]
	r.template = template{}
	if err := r.advance(); err != nil {
		return nil, err
	}
	h := r.header
	r.header = nil
	r.start, r.skipped, r.inHeader, r.found = r.scan, 0, false, foundNothing
	if h.SelfClosed {
		r.found = foundEnd
	}
	return h, nil
}

// Next reads the next top-level element into e. It skips white space before it, which peers send
// to keep the connection alive (CCS 1.9). It also skips stray text, which counts towards the limit
// (CCS 1.11).
//
// The error is io.EOF at the end tag of the stream, io.ErrUnexpectedEOF if the connection ends
// without one, or a *StreamError if the peer breaks a rule. The stream is over after any of them.
// Any other error comes from the connection, wrapped. After a temporary one, such as a deadline,
// Next may be called again and continues at the same place.
func (r *Reader) Next(e *Element) error {
	if err := r.advance(); err != nil {
		return err
	}
	*e = r.cur
	r.start, r.skipped, r.found = r.scan, 0, foundNothing
	return nil
}

// Ready reports whether Next would return an element, the end or an error without reading from the
// connection. It scans no byte twice.
func (r *Reader) Ready() bool {
	return r.look() != foundNothing || r.readErr != nil
}

// Partial reports whether a part of an element has arrived. Call it after an error that came from
// the connection.
func (r *Reader) Partial() bool { return r.start < len(r.buf) }

// Buffered returns the size of the buffer that holds an incomplete element, or 0 for a small one.
func (r *Reader) Buffered() int64 {
	if cap(r.buf) <= largeChunk {
		return 0
	}
	return int64(cap(r.buf))
}

// advance reads until there is a result: a header, an element or an error.
func (r *Reader) advance() error {
	for {
		switch r.look() {
		case foundHeader, foundElement:
			return nil
		case foundEnd:
			return io.EOF
		case foundError:
			return r.failure
		case foundLimit:
			return r.streamError("policy-violation", r.scan, fmt.Sprintf("more than %d bytes", r.limits.Element))
		}
		if err := r.fill(); err != nil {
			return err
		}
	}
}

// fill reads from the connection once, after the unfinished input.
func (r *Reader) fill() error {
	if err := r.readErr; err != nil {
		if err == io.EOF {
			return io.ErrUnexpectedEOF
		}
		r.readErr = nil
		return fmt.Errorf("read stream: %w", err)
	}
	r.makeRoom()
	for range maxEmptyReads {
		n, err := r.src.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf = r.buf[:len(r.buf)+n]
		if errors.Is(err, io.EOF) {
			err = io.EOF
		}
		r.readErr = err
		if n > 0 || err != nil {
			return nil
		}
	}
	return fmt.Errorf("read stream: %w", io.ErrNoProgress)
}

const maxEmptyReads = 100 // as in bufio

// makeRoom ensures that there is a chunk with room to read into.
//
// Without unfinished input the wait may be long, so makeRoom keeps only a small chunk. Otherwise
// more input is likely to come at once. The chunks then double up to largeChunk, or to the size
// that a larger element needs.
func (r *Reader) makeRoom() {
	rest := r.buf[r.start:]
	size := smallChunk
	switch free := cap(r.buf) - len(r.buf); {
	case len(rest) == 0 && cap(r.buf) <= smallChunk && free >= smallChunk/8:
		return
	case len(rest) == 0:
		r.forget()
	case free >= cap(r.buf)/8:
		return
	default:
		size = max(min(2*cap(r.buf), largeChunk), min(2*len(rest), r.limits.Element+smallChunk), len(rest)+smallChunk/8)
	}
	r.buf = append(make([]byte, 0, size), rest...)
	r.scan -= r.start
	r.token -= r.start
	r.start = 0
}

// forget drops the references to returned chunks. Otherwise an idle reader would keep a chunk
// alive.
func (r *Reader) forget() {
	clear(r.stack[:cap(r.stack)])
	clear(r.attrs[:cap(r.attrs)])
	clear(r.scope[len(r.scope):cap(r.scope)])
	r.cur = Element{}
	if cap(r.segments) > 64 {
		r.segments = nil
	}
}

// text returns the bytes of the chunk from i to j as a string, without copying.
func (r *Reader) text(i, j int) string {
	return unsafe.String(unsafe.SliceData(r.buf[i:j]), j-i)
}

// fail records that the byte at offset breaks the stream.
func (r *Reader) fail(condition string, offset int, reason string) {
	r.failure = r.streamError(condition, offset, reason)
	r.found = foundError
}

func (r *Reader) invalid(offset int, reason string) { r.fail("invalid-xml", offset, reason) }

func (r *Reader) streamError(condition string, offset int, reason string) *StreamError {
	before := r.buf[r.start:offset]
	return &StreamError{
		Condition: condition,
		Reason:    reason,
		Line:      1 + bytes.Count(before, []byte{'\n'}),
		Column:    len(before) - bytes.LastIndexByte(before, '\n'),
	}
}
