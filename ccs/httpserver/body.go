package httpserver

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/openccs/openccs/ccs/internal/eagerconn"
	"github.com/openccs/openccs/flowcontrol"
)

// charged is the body of a request, with the bytes that ReadBody has charged for it.
type charged struct {
	io.ReadCloser
	login  *flowcontrol.Budget // for requests without an authenticated sender
	memory *flowcontrol.Budget // for requests of senders

	heldLogin, heldMemory int64
}

// bodyCopies is how often a byte of a body may be in memory: the buffer doubles when it is full.
const bodyCopies = 2

func (c *charged) charge(n int, sender bool) error {
	bytes := int64(n) * bodyCopies
	if sender {
		if !c.memory.Take(bytes, 0) {
			return ErrNoRoom
		}
		c.heldMemory += bytes
		return nil
	}
	if !eagerconn.ChargeLogin(c.login, c.heldLogin, bytes) {
		return ErrNoRoom
	}
	c.heldLogin += bytes
	return nil
}

func (c *charged) refund() {
	c.login.Add(-c.heldLogin)
	c.memory.Add(-c.heldMemory)
}

// charging charges for the bytes that are read from a body and kept.
type charging struct {
	src    io.Reader
	c      *charged
	sender bool
}

func (r charging) Read(p []byte) (int, error) {
	n, err := r.src.Read(p)
	if failed := r.c.charge(n, r.sender); failed != nil {
		return 0, failed
	}
	return n, err
}

// Errors of ReadBody. BodyAnswer has the usual answer to each.
var (
	ErrNoRoom   = errors.New("too many bodies at a time")
	ErrTooLarge = errors.New("body too large")
	ErrEncoding = errors.New("unknown content encoding")
)

// ReadBody reads the body of a request and decompresses it; it knows gzip and deflate (CCS 6.1).
// The limit applies to the bytes on the wire and to the decompressed bytes. They are charged to
// Options.Bodies until the request is answered. Besides the errors above it returns errors in the
// peer's bytes.
func ReadBody(r *http.Request, limit int64) ([]byte, error) { return readBody(r, limit, false) }

// ReadSenderBody is ReadBody for a request whose sender was authenticated. The bytes are charged to
// Options.Memory.
func ReadSenderBody(r *http.Request, limit int64) ([]byte, error) { return readBody(r, limit, true) }

func readBody(r *http.Request, limit int64, sender bool) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, ErrTooLarge
	}
	coding := r.Header.Get("Content-Encoding")
	plain := coding == "" || strings.EqualFold(coding, "identity")
	c, _ := r.Body.(*charged)
	if plain && r.ContentLength >= 0 && r.ContentLength <= maxFirstBuffer {
		return readExactly(r, c, sender)
	}
	var src io.Reader = &io.LimitedReader{R: r.Body, N: limit + 1}
	if !plain {
		decoded, err := decompress(src, coding)
		if err != nil {
			return nil, err
		}
		src = io.LimitReader(decoded, limit+1)
	}
	if c != nil {
		src = charging{src, c, sender}
	}
	body, err := io.ReadAll(src)
	if err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, ErrTooLarge
	}
	return body, nil
}

// maxFirstBuffer bounds the memory that a body gets before its bytes arrive.
const maxFirstBuffer = 64 << 10

// readExactly reads a small body of a known length.
func readExactly(r *http.Request, c *charged, sender bool) ([]byte, error) {
	n := int(r.ContentLength)
	if c != nil {
		if err := c.charge(n, sender); err != nil {
			return nil, err
		}
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	return body, nil
}

// decompress returns a reader of the decompressed bytes. Some clients send deflate without the zlib
// format that RFC 9110 §8.4.1.2 requires.
func decompress(src io.Reader, coding string) (io.Reader, error) {
	switch strings.ToLower(coding) {
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(src)
		if err != nil {
			return nil, fmt.Errorf("decompress the body: %w", err)
		}
		return z, nil
	case "deflate":
		b := bufio.NewReader(src)
		if head, err := b.Peek(2); err != nil || head[0]&0x0f != 8 || (uint(head[0])<<8|uint(head[1]))%31 != 0 {
			return flate.NewReader(b), nil
		}
		z, err := zlib.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("decompress the body: %w", err)
		}
		return z, nil
	}
	return nil, ErrEncoding
}

// BodyAnswer returns the usual answer to an error of ReadBody: 413, 415, 503 with Retry-After, or
// 400.
func BodyAnswer(err error) Answer {
	switch {
	case errors.Is(err, ErrTooLarge):
		return Text(http.StatusRequestEntityTooLarge, err.Error())
	case errors.Is(err, ErrEncoding):
		a := Text(http.StatusUnsupportedMediaType, err.Error())
		a.Header = http.Header{"Accept-Encoding": {"gzip, deflate"}} // RFC 9110 §15.5.16
		return a
	case errors.Is(err, ErrNoRoom):
		return TryLater()
	}
	return Text(http.StatusBadRequest, "unreadable body")
}
