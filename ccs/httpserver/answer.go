package httpserver

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs/internal/eagerconn"
	"github.com/openccs/openccs/flowcontrol"
)

// answer is what a call comes to.
type answer struct {
	status      int
	contentType string
	body        []byte
	retryAfter  time.Duration // 0 for none
	fields      []zap.Field   // for the log, beside what every call has
	err         error         // our own failure, for the log
}

// textAnswer has nothing behind the text, because devices take a newline for part of it (DEV 3.1).
func textAnswer(status int, text string) answer {
	return answer{status: status, contentType: "text/plain", body: []byte(text)}
}

// tryLater is for a call that another time may succeed.
func tryLater() answer {
	a := textAnswer(http.StatusServiceUnavailable, "try again later")
	a.retryAfter = retryAfter
	return a
}

// answering turns a call into a handler.
func (s *Server) answering(call func(*http.Request) answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		b := &charged{ReadCloser: r.Body, budget: s.bodies}
		defer b.refund()
		r.Body = b
		a := call(r)
		body := a.body
		// microG unzips every answer, errors too, without a look at its headers (DEV 2.1).
		if acceptsGzip(r.Header.Values("Accept-Encoding")) {
			body = zip(body)
			w.Header().Set("Content-Encoding", "gzip")
		}
		w.Header().Set("Content-Type", a.contentType)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		if a.retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(a.retryAfter/time.Second)))
		}
		w.WriteHeader(a.status)
		_, err := w.Write(body)

		if a.err != nil && r.Context().Err() == nil { // or it was the device that went away
			s.failed(s.log, "call failed", a.err, zap.String("path", r.URL.Path))
		}
		s.log.Debug("call", append(a.fields, zap.String("path", r.URL.Path), zap.Int("status", a.status),
			zap.String("remote", r.RemoteAddr), zap.Duration("took", time.Since(start)), zap.NamedError("write", err))...)
	}
}

// acceptsGzip reads an Accept-Encoding header (RFC 9110, 12.5.3). "*" does not count: clients that send
// it without gzip are scripts.
func acceptsGzip(values []string) bool {
	for coding := range strings.SplitSeq(strings.Join(values, ","), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		q, ok := strings.CutPrefix(strings.ReplaceAll(weight, " ", ""), "q=")
		return !ok || strings.Trim(q, "0.") != ""
	}
	return false
}

var zippers = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

func zip(body []byte) []byte {
	var out bytes.Buffer
	z := zippers.Get().(*gzip.Writer)
	defer zippers.Put(z)
	z.Reset(&out)
	_, _ = z.Write(body) // a bytes.Buffer takes everything
	_ = z.Close()
	return out.Bytes()
}

// charged is the body of a request, with what readBody has charged for it.
type charged struct {
	io.ReadCloser
	budget *flowcontrol.Budget
	held   int64
}

// bodyCopies is how often a byte of a body may be in memory: the buffer doubles when it is full.
const bodyCopies = 2

func (c *charged) charge(n int) error {
	bytes := int64(n) * bodyCopies
	if !eagerconn.ChargeLogin(c.budget, c.held, bytes) {
		return errNoRoom
	}
	c.held += bytes
	return nil
}

func (c *charged) refund() { c.budget.Add(-c.held) }

// charging charges for what is read of a body and kept.
type charging struct {
	src io.Reader
	c   *charged
}

func (r charging) Read(p []byte) (int, error) {
	n, err := r.src.Read(p)
	if failed := r.c.charge(n); failed != nil {
		return 0, failed
	}
	return n, err
}

var (
	errNoRoom   = errors.New("too many bodies at a time")
	errTooLarge = errors.New("body too large")
	errEncoding = errors.New("unknown content encoding")
)

// readBody reads a request's body, unzipped. The limit holds for what comes and for what it unzips to. The body is
// charged to the budget until the request is answered; the error is errNoRoom where that is used up.
func readBody(r *http.Request, limit int64) ([]byte, error) {
	var src io.Reader = &io.LimitedReader{R: r.Body, N: limit + 1}
	switch coding := strings.ToLower(r.Header.Get("Content-Encoding")); coding {
	case "", "identity":
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(src)
		if err != nil {
			return nil, fmt.Errorf("unzip: %w", err)
		}
		src = io.LimitReader(z, limit+1)
	default:
		return nil, errEncoding
	}
	if c, ok := r.Body.(*charged); ok {
		src = charging{src, c}
	}
	body, err := io.ReadAll(src)
	if err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, errTooLarge
	}
	return body, nil
}
