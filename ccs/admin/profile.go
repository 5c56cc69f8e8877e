package admin

import (
	"net/http"
	"net/http/pprof"
)

// ProfileRoutes adds the profiles of the running server under /debug/pprof, where Go's tools look
// for them. Add them only to the control socket: only the server's own user may open that, and a
// profile costs time and shows the contents of memory.
func ProfileRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index) // heap, allocs, goroutine, mutex, …
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}
