package httpserver

import (
	"bytes"
	"strconv"
)

// framing parses the requests in the bytes of a connection, to find those that state their length
// twice. net/http removes the Content-Length of a chunked request before a handler sees it
// (RFC 9112 §6.3).
//
// framing knows only the plain form of HTTP/1.1 that clients send. From the first byte of another
// form on it is lost, and so it is after a request with two lengths.
type framing struct {
	state frameState
	line  []byte // the current line, at most maxLine of it
	long  bool   // the line is longer
	cr    bool   // the previous byte was a CR

	// State of the current head.
	first   bool  // no line of it has ended
	length  int64 // Content-Length; -1 for none
	chunked bool

	left  int64 // missing bytes of a body or chunk, with the CRLF of a chunk
	lost  bool  // a chunked request may have two lengths
	http2 bool  // the connection uses HTTP/2, where a length is stated once
}

type frameState int

const (
	inHead frameState = iota
	inBody
	inSize   // of a chunk
	inChunk  // with its CRLF
	inNoMore // the empty line after the last chunk
)

const maxLine = 128 // bytes of a line that are parsed

func newFraming() *framing { return &framing{first: true, length: -1} }

// pass parses the next bytes and returns how many of them belong to heads.
func (f *framing) pass(p []byte) (heads int) {
	for len(p) > 0 && !f.lost && !f.http2 {
		if f.state == inBody || f.state == inChunk {
			n := min(f.left, int64(len(p)))
			f.left -= n
			p = p[n:]
			switch {
			case f.left > 0:
			case f.state == inBody:
				f.state = inHead
			default:
				f.state = inSize
			}
			continue
		}
		n := f.text(p)
		if n == 0 {
			n = 1
		}
		if f.state == inHead {
			heads += n
		}
		if n == 1 {
			f.next(p[0])
		}
		p = p[n:]
	}
	if f.lost {
		heads += len(p)
	}
	return heads
}

// text takes the bytes before the end of a line and returns their number, which is not 1.
func (f *framing) text(p []byte) int {
	n := bytes.IndexByte(p, '\r')
	if n < 0 {
		n = len(p)
	}
	if n <= 1 || f.cr || bytes.IndexByte(p[:n], '\n') >= 0 {
		return 0
	}
	kept := min(n, maxLine-len(f.line))
	f.line = append(f.line, p[:kept]...)
	f.long = f.long || kept < n
	return n
}

// next parses a byte of a line.
func (f *framing) next(c byte) {
	if f.cr != (c == '\n') { // CR and LF must come together
		f.lost = true
		return
	}
	f.cr = c == '\r'
	switch {
	case c == '\n':
		f.endLine()
		f.line, f.long = f.line[:0], false
	case c == '\r':
	case len(f.line) < maxLine:
		f.line = append(f.line, c)
	default:
		f.long = true
	}
}

func (f *framing) endLine() {
	switch f.state {
	case inHead:
		f.headLine()
	case inSize:
		size, err := strconv.ParseUint(string(f.line), 16, 32)
		switch {
		case err != nil || f.long:
			f.lost = true
		case size == 0:
			f.state = inNoMore
		default:
			f.state, f.left = inChunk, int64(size)+2
		}
	case inNoMore:
		f.state, f.lost = inHead, len(f.line) > 0 || f.long
	}
}

func (f *framing) headLine() {
	if f.first {
		f.first = false
		if string(f.line) == "PRI * HTTP/2.0" {
			f.http2 = true
			return
		}
		f.lost = f.long || !bytes.HasSuffix(f.line, []byte(" HTTP/1.1")) || bytes.HasPrefix(f.line, []byte("CONNECT "))
		return
	}
	if len(f.line) == 0 {
		f.endHead()
		return
	}
	name, value, ok := bytes.Cut(f.line, []byte{':'})
	if !ok || bytes.ContainsAny(name, " \t") {
		f.lost = true
		return
	}
	value = bytes.Trim(value, " \t")
	isLength := bytes.EqualFold(name, []byte("content-length"))
	if !isLength && !bytes.EqualFold(name, []byte("transfer-encoding")) {
		return
	}
	if f.long || f.length >= 0 || f.chunked {
		f.lost = true
		return
	}
	if isLength {
		n, err := strconv.ParseUint(string(value), 10, 62)
		f.length, f.lost = int64(n), err != nil
		return
	}
	f.chunked, f.lost = true, !bytes.EqualFold(value, []byte("chunked"))
}

func (f *framing) endHead() {
	switch {
	case f.chunked:
		f.state = inSize
	case f.length > 0:
		f.state, f.left = inBody, f.length
	}
	f.first, f.length, f.chunked = true, -1, false
}
