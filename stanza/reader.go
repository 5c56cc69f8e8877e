package stanza

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"unsafe"
)

// Limits bound what a peer can make a Reader hold. What passes one of them is a policy-violation (CCS 2.6).
type Limits struct {
	Element int // bytes of one top-level element, with stray text that was skipped before it; or of a stream header
	Depth   int // nesting of elements, the top-level element being 1
	Attrs   int // attributes of one tag, namespace declarations included
}

// The limits of a connection: nobody knows a peer before bind, so it gets little.
var (
	BeforeBind = Limits{Element: 4 << 10, Depth: 16, Attrs: 32}
	AfterBind  = Limits{Element: 256 << 10, Depth: 16, Attrs: 32}
)

// Sizes of chunks. A reader that waits with nothing unfinished holds a small one at most.
const (
	smallChunk = 4 << 10
	largeChunk = 32 << 10
)

// Reader frames the bytes of a connection into the stream header and whole top-level elements (CCS 1.3,
// 1.11). It checks that they are well-formed, resolves namespaces, and refuses what XMPP forbids. What it
// finds, errors included, doesn't depend on how the bytes were split into reads.
//
// Reader never writes to memory that it has handed out: it reads into chunks, and takes a fresh one, to
// which it moves only the unfinished rest, when a chunk is used up. So the strings and bytes of an Element
// stay valid for as long as somebody holds them, at the price that a short string keeps its chunk alive:
// clone what lives much longer than its neighbours.
//
// A Reader belongs to one goroutine.
type Reader struct {
	src    io.Reader
	limits Limits

	buf     []byte // the chunk: what was read of it; the capacity is the whole
	start   int    // of the unfinished header or element; everything before is handed out or skipped
	scan    int    // the next byte to look at
	token   int    // start of the unfinished tag or text
	skipped int    // bytes skipped since the last element, white space between elements aside

	state    scanState
	quote    byte // what ends the attribute value, in inQuote
	inHeader bool
	declared bool // the XML declaration of this header was seen
	found    found
	failure  *StreamError // if found is foundError
	readErr  error        // came together with the last bytes; kept until they are used up

	streamName string   // of the open stream, as the end tag must repeat it
	lastName   string   // of the stream that is to be restarted, which may end instead
	stack      []string // names of the open elements, as written
	scope      []binding
	attrs      []attribute

	header    *Header
	cur       Element
	inPayload bool // inside the gcm element that cur.Payload comes from
	segments  []segment
	template  template
}

// Header is the start tag of a stream, its attribute values unescaped, its memory its own.
type Header struct {
	To, From, ID, Version, Lang string
	DefaultNS                   string // the namespace of unprefixed stanzas
	SelfClosed                  bool   // the stream is over already, see CCS 1.3 rule 5; Next returns io.EOF
}

// Element is a top-level element of the stream.
type Element struct {
	// Raw is the element as it was sent. Of a message with a payload, unless its type is error, it is of
	// no use: the payload may have been unescaped in place.
	Raw []byte

	Space, Local       string // the resolved namespace and the local name
	ID, To, From, Type string // unescaped attributes
	HasID, HasTo       bool   // answers differ for empty and absent ones (CCS 1.7, 3.3)

	// The name of the first child: what an iq is about.
	ChildSpace, ChildLocal string

	// Payload is the character data of the first {google:mobile:data}gcm child of a message, unescaped,
	// CDATA sections joined (CCS 2.1).
	Payload    []byte
	HasPayload bool
}

// Decode decodes Raw with encoding/xml: for the elements of negotiation, an iq, an error. Prefixes declared
// in the stream header are unknown to it, so the fields of v should name no namespaces; Space and
// ChildSpace have them.
func (e *Element) Decode(v any) error {
	d := xml.NewDecoder(bytes.NewReader(e.Raw))
	d.DefaultSpace = e.Space
	return d.Decode(v)
}

// StreamError is what a peer did that its stream doesn't survive. Condition is for the peer, the rest for
// the log (CCS 1.10).
type StreamError struct {
	Condition string // invalid-xml, restricted-xml, policy-violation, bad-format, ...
	Reason    string

	// Where, counted in lines and bytes from 1 at the start of the element or header.
	Line, Column int
}

func (e *StreamError) Error() string {
	return fmt.Sprintf("%s: %s (line %d, column %d)", e.Condition, e.Reason, e.Line, e.Column)
}

// found is what the bytes read so far have yielded and no call has returned yet.
type found uint8

const (
	foundNothing found = iota // needs more bytes
	foundHeader
	foundElement
	foundEnd   // of the stream
	foundError // Reader.failure
	foundLimit // not kept, as SetLimits may raise the limit
)

// NewReader returns a Reader of r, which must yield the connection's first byte first. It allocates no
// buffer before the first call of Header.
func NewReader(r io.Reader, l Limits) *Reader {
	return &Reader{src: r, limits: l}
}

// SetLimits replaces the limits, from the element on that the next call of Next returns.
func (r *Reader) SetLimits(l Limits) { r.limits, r.template = l, template{} }

// Header reads the optional XML declaration and the start tag of the stream. It is called first, and again
// after SASL, where the stream starts anew (CCS 1.7). The errors are those of Next.
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

// Next reads the next top-level element into e. It skips white space before it, which peers send to keep the
// connection alive (CCS 1.9), and stray text, which counts towards the limit (CCS 1.11). The error is io.EOF at the end tag of the stream,
// io.ErrUnexpectedEOF if the connection ends without one, a *StreamError for what breaks a rule; the
// stream is over after any of them. Any other error comes from the connection, wrapped; if it was a
// passing one, such as a deadline, Next may be called again and goes on where it was.
func (r *Reader) Next(e *Element) error {
	if err := r.advance(); err != nil {
		return err
	}
	*e = r.cur
	r.start, r.skipped, r.found = r.scan, 0, foundNothing
	return nil
}

// Ready reports whether Next would return an element, the end or an error without reading the connection.
// No byte is looked at twice for it.
func (r *Reader) Ready() bool {
	return r.look() != foundNothing || r.readErr != nil
}

// Partial reports whether a part of an element has come. It is for after an error that came from the connection.
func (r *Reader) Partial() bool { return r.start < len(r.buf) }

// Buffered is the size of the buffer that holds the part of an element that has come, 0 for a small one.
func (r *Reader) Buffered() int64 {
	if cap(r.buf) <= largeChunk {
		return 0
	}
	return int64(cap(r.buf))
}

// advance reads until there is something to return: a header or an element, or an error.
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

// fill reads from the connection once, behind what is unfinished.
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

const maxEmptyReads = 100 // as bufio has it

// makeRoom sees to it that there is a chunk with room to read into.
//
// With nothing unfinished the wait may be long, so only a small chunk is kept. Otherwise more is likely to
// come at once, and chunks double up to largeChunk, or to what a larger element needs.
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

// forget drops the references to chunks that are handed out, or an idle reader would keep one alive.
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

// fail notes that the byte at offset breaks the stream.
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
