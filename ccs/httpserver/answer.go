package httpserver

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Answer is the answer to a call.
type Answer struct {
	Status      int
	ContentType string
	Body        []byte
	Header      http.Header   // further header fields; nil for none
	RetryAfter  time.Duration // rounded up to whole seconds; 0 for none (CCS 6.7)

	// The rest is for the log. It must contain no key, no token and no payload.
	Sender  string      // "" if no sender was authenticated
	Outcome string      // for example the error word of the door; "" if the status suffices
	Fields  []zap.Field // further fields
	Err     error       // a fault of the server
}

// Text returns an answer of plain text. No newline follows the text, because devices would take it
// for a part of the text (DEV 3.1).
func Text(status int, text string) Answer {
	return Answer{Status: status, ContentType: "text/plain", Body: []byte(text)}
}

// JSON returns v as JSON. It is for small answers outside hot paths.
func JSON(status int, v any) Answer {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // only for a value that has no JSON
	}
	return Answer{Status: status, ContentType: "application/json", Body: body}
}

// retryAfter is the wait that clients are asked for after a failure of the server. microG obeys
// (DEV 3.4).
const retryAfter = 30 * time.Second

// TryLater returns the answer to a call that may succeed at another time.
func TryLater() Answer {
	a := Text(http.StatusServiceUnavailable, "try again later")
	a.RetryAfter = retryAfter
	return a
}

// answering returns the handler of a route.
func (s *Server) answering(route Route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		b := &charged{ReadCloser: r.Body, login: s.bodies, memory: s.memory}
		defer b.refund()
		r.Body = b
		var a Answer
		if r.ProtoMajor == 2 && s.bodies.Used() > s.bodies.Limit() {
			a = TryLater() // a head of HTTP/1.1 was charged when it was read
		} else {
			a = route.Call(r)
		}
		r.Body = b.ReadCloser // net/http needs this type; else it waits for an unwanted body
		body := a.Body
		h := w.Header()
		// microG decompresses every answer, errors too, without checking its headers (DEV 2.1).
		if route.compressed && acceptsGzip(r.Header.Values("Accept-Encoding")) {
			body = compress(body)
			h.Set("Content-Encoding", "gzip")
		}
		for key, values := range a.Header {
			h[key] = values
		}
		if a.ContentType != "" {
			h["Content-Type"] = []string{a.ContentType}
		}
		if a.Status != http.StatusNoContent {
			h["Content-Length"] = []string{strconv.Itoa(len(body))}
		}
		if a.RetryAfter > 0 {
			h.Set("Retry-After", strconv.Itoa(int((a.RetryAfter+time.Second-1)/time.Second)))
		}
		if s.draining.Load() {
			h["Connection"] = []string{"close"} // net/http turns it into GOAWAY for HTTP/2
		}
		w.WriteHeader(a.Status)
		var err error
		if len(body) > 0 {
			_, err = w.Write(body)
		}
		if a.Err != nil && r.Context().Err() == nil { // otherwise the client went away
			s.failed(s.log, "call failed", a.Err, zap.String("path", r.Pattern))
		}
		if s.log.Core().Enabled(zap.DebugLevel) {
			s.logCall(&route, r, &a, time.Since(start), err)
		}
	}
}

// logCall writes a line of the access log. It has the pattern and not the path, which may contain a
// token.
func (s *Server) logCall(route *Route, r *http.Request, a *Answer, took time.Duration, written error) {
	fields := append(a.Fields, zap.String("door", route.Door), zap.String("path", r.Pattern), zap.Int("status", a.Status),
		zap.String("remote_addr", r.RemoteAddr), zap.Duration("took", took), zap.NamedError("write_error", written))
	if a.Sender != "" {
		fields = append(fields, zap.String("sender", a.Sender))
	}
	if a.Outcome != "" {
		fields = append(fields, zap.String("outcome", a.Outcome))
	}
	s.log.Debug("call", fields...)
}

// acceptsGzip reads an Accept-Encoding header (RFC 9110 §12.5.3). "*" does not count: clients that
// send it without gzip are scripts.
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

var compressors = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

func compress(body []byte) []byte {
	var out bytes.Buffer
	z := compressors.Get().(*gzip.Writer)
	defer compressors.Put(z)
	z.Reset(&out)
	_, _ = z.Write(body) // a bytes.Buffer accepts all writes
	_ = z.Close()
	return out.Bytes()
}
