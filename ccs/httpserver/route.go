package httpserver

import (
	"net/http"
	"strings"
)

// Route is one call of a door.
type Route struct {
	Pattern string // of http.ServeMux, without a host, such as "POST /gcm/send" (CCS 6.1)
	Door    string // the door's name in the access log
	Call    func(*http.Request) Answer

	compressed bool // use gzip if the client accepts it
}

// routes returns the handler of all calls. The mux answers 404, and 405 with Allow, by itself.
func (s *Server) routes(doors []Route) http.Handler {
	mux := http.NewServeMux()
	// Every client takes this word for a reason to try again, even for a removal (DEV 3.4).
	register := s.limited(Text(0, "Error="+string(wordInternal)), s.register)
	for _, r := range []Route{
		{Pattern: "POST /checkin", Call: s.limited(Text(0, "too many calls"), s.checkIn)},
		{Pattern: "POST /c2dm/register3", Call: register},
		{Pattern: "POST /c2dm/register", Call: register},
		{Pattern: "POST /v1/projects/{project}/installations", Call: s.limited(Text(0, "too many calls"), s.install)},
		{Pattern: "GET /healthz", Call: s.healthz},
	} {
		r.Door, r.compressed = "devices", true
		mux.HandleFunc(r.Pattern, s.answering(r))
	}
	for _, r := range doors {
		mux.HandleFunc(r.Pattern, s.answering(r))
	}
	return closeChunked(trimSlashes(mux))
}

// trimSlashes removes all slashes but one from the start of a path. One client doubles it
// (CCS 7.1), and the mux would answer with a redirect.
func trimSlashes(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "//") {
			u := *r.URL
			u.Path, u.RawPath = "/"+strings.TrimLeft(u.Path, "/"), ""
			r.URL = &u
		}
		h.ServeHTTP(w, r)
	})
}

// closeChunked ends the connection after a chunked request that has, or may have, a Content-Length
// too: it may hide another request (RFC 9112 §6.3).
func closeChunked(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 && r.ProtoMajor == 1 {
			if c, ok := r.Context().Value(connKey{}).(*conn); !ok || c.lost() {
				w.Header().Set("Connection", "close")
			}
		}
		h.ServeHTTP(w, r)
	})
}
