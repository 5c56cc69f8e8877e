package mcs

import (
	"fmt"
	"io"
)

const (
	// parkedSize is the number of bytes that a Reader has room for while it waits for a frame to
	// begin. It is less than any frame, so the read after it brings all bytes that have arrived,
	// and Ready can report which frames came together.
	parkedSize = 1
	// maxSizeBytes is the maximum length of the varint with a frame's size (DEV 4).
	maxSizeBytes = 5
	// maxEmptyReads is how often a source may return nothing before it counts as broken.
	maxEmptyReads = 100
)

// Reader splits a byte stream into frames (DEV 4). It belongs to one goroutine.
//
// An error of the source leaves the Reader unchanged: after a passed read deadline Next and
// ReadVersion may be called again and continue within the same frame. A FrameError is returned
// again by each call.
type Reader struct {
	src        io.Reader
	limit      int
	buf        []byte // parked[:], or a shared one while it holds a frame
	start, end int    // bytes read and not returned yet: buf[start:end]
	err        error  // came together with data; the next fill returns it
	parked     [parkedSize]byte
}

// NewReader returns a Reader of frames with a payload of at most limit bytes, such as MaxLogin
// before a login and MaxFrame after it.
func NewReader(src io.Reader, limit int) *Reader {
	r := &Reader{src: src, limit: limit}
	r.buf = r.parked[:]
	return r
}

// SetLimit changes the limit for all frames that Next has not returned yet.
func (r *Reader) SetLimit(limit int) { r.limit = limit }

// ReadVersion reads the byte that comes once before the first frame. The caller decides which
// versions it accepts.
func (r *Reader) ReadVersion() (byte, error) {
	if r.start == r.end {
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	v := r.buf[r.start]
	r.start++
	return v, nil
}

// Next returns the next frame. The payload is valid until the following call. The error is io.EOF
// at the end of a frame, io.ErrUnexpectedEOF within one, a *FrameError, or one of the source.
func (r *Reader) Next() (Tag, []byte, error) {
	r.freeBuffer()
	for {
		h, ok, err := parseHeader(r.buf[r.start:r.end], r.limit)
		if err != nil {
			return 0, nil, err
		}
		if ok && r.end-r.start >= h.len+h.size {
			from := r.start + h.len
			r.start = from + h.size
			return h.tag, r.buf[from:r.start:r.start], nil
		}
		if err := r.fill(); err != nil {
			if err == io.EOF && r.start < r.end {
				err = io.ErrUnexpectedEOF
			}
			return 0, nil, err
		}
	}
}

// Ready reports whether a whole frame is in the buffer, so that Next does not wait.
func (r *Reader) Ready() bool {
	h, ok, err := parseHeader(r.buf[r.start:r.end], r.limit)
	return err == nil && ok && r.end-r.start >= h.len+h.size
}

// Buffered returns the number of bytes that were read and not returned. After an error of Next, a
// number above zero means that a frame has begun.
func (r *Reader) Buffered() int { return r.end - r.start }

// header is the header before a frame's payload.
type header struct {
	tag  Tag
	len  int // of the header itself
	size int // of the payload
}

// parseHeader parses the header at the start of b. ok is false while b does not hold a whole
// header.
func parseHeader(b []byte, limit int) (h header, ok bool, err error) {
	if len(b) == 0 {
		return h, false, nil
	}
	h.tag = Tag(b[0])
	if h.tag > maxTag {
		return h, false, badFrame("no such tag: " + h.tag.String())
	}
	var size uint64
	for i, c := range b[1:] {
		size |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if size > uint64(limit) {
				return h, false, &FrameError{
					Kind:   ErrTooBig,
					Reason: fmt.Sprintf("%s of %d bytes, limit %d", h.tag, size, limit),
				}
			}
			h.len, h.size = 1+i+1, int(size)
			return h, true, nil
		}
		if i+1 == maxSizeBytes {
			return h, false, badFrame("size of more than 5 bytes")
		}
	}
	return h, false, nil
}

// fill reads once, after the bytes in the buffer.
func (r *Reader) fill() error {
	if err := r.err; err != nil {
		r.err = nil
		return err
	}
	r.makeRoom()
	for range maxEmptyReads {
		n, err := r.src.Read(r.buf[r.end:])
		if n > 0 {
			r.end += n
			r.err = err
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// makeRoom makes room for a read. Only received bytes make the buffer larger, never an announced
// size.
func (r *Reader) makeRoom() {
	held := r.end - r.start
	switch {
	case held == 0:
		r.start, r.end = 0, 0
	case len(r.buf) == parkedSize || held == len(r.buf):
		larger := getBuffer(held)
		copy(larger, r.buf[r.start:r.end])
		putBuffer(r.buf)
		r.buf, r.start, r.end = larger, 0, held
	case r.end == len(r.buf):
		r.start, r.end = 0, copy(r.buf, r.buf[r.start:r.end])
	}
}

// freeBuffer gives an empty buffer back before the Reader waits for a frame that may come in an
// hour.
func (r *Reader) freeBuffer() {
	if r.start == r.end && len(r.buf) != parkedSize {
		putBuffer(r.buf)
		r.buf, r.start, r.end = r.parked[:], 0, 0
	}
}
