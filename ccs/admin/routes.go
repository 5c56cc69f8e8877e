package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/openccs/openccs/store"
)

// maxRequest bounds the size of a command's request in bytes.
const maxRequest = 1 << 16

type createRequest struct {
	Name     string `json:"name"`
	SenderID string `json:"sender_id"`
}

type keyRequest struct {
	Name string `json:"name"`
}

type networksRequest struct {
	Networks []string `json:"networks"`
}

type errorBody struct {
	Error string `json:"error"`
}

// ProjectRoutes adds the routes under /projects and /oauth to mux. mux may have other routes. A
// Handler of theirs that returns an error gives the same answer as these routes.
func ProjectRoutes(mux *http.ServeMux, p *Projects) {
	mux.Handle("GET /projects", Handler(func(_ http.ResponseWriter, r *http.Request) (any, error) {
		return p.List(r.Context())
	}))
	mux.Handle("POST /projects", Handler(func(w http.ResponseWriter, r *http.Request) (any, error) {
		var in createRequest
		if err := Decode(w, r, &in); err != nil {
			return nil, err
		}
		return p.Create(r.Context(), in.Name, in.SenderID)
	}))
	mux.Handle("DELETE /projects/{sender}", Handler(func(_ http.ResponseWriter, r *http.Request) (any, error) {
		return nil, p.Delete(r.Context(), r.PathValue("sender"))
	}))
	mux.Handle("PUT /projects/{sender}/limits", Handler(func(w http.ResponseWriter, r *http.Request) (any, error) {
		var in Limits
		if err := Decode(w, r, &in); err != nil {
			return nil, err
		}
		return nil, p.SetLimits(r.Context(), r.PathValue("sender"), in)
	}))
	mux.Handle("POST /projects/{sender}/keys", Handler(func(w http.ResponseWriter, r *http.Request) (any, error) {
		var in keyRequest
		if err := Decode(w, r, &in); err != nil {
			return nil, err
		}
		return p.AddKey(r.Context(), r.PathValue("sender"), in.Name)
	}))
	mux.Handle("DELETE /projects/{sender}/keys/{key}", Handler(func(_ http.ResponseWriter, r *http.Request) (any, error) {
		return nil, p.RevokeKey(r.Context(), r.PathValue("sender"), r.PathValue("key"))
	}))
	mux.Handle("PUT /projects/{sender}/keys/{key}/networks", Handler(func(w http.ResponseWriter, r *http.Request) (any, error) {
		var in networksRequest
		if err := Decode(w, r, &in); err != nil {
			return nil, err
		}
		return nil, p.SetKeyNetworks(r.Context(), r.PathValue("sender"), r.PathValue("key"), in.Networks)
	}))
	oauthRoutes(mux, p)
	appRoutes(mux, p)
}

// Handler is a route. Its result is the answer, as JSON; nil is an answer without a body. An error
// becomes the status that Client.Do turns back into the same error.
type Handler func(w http.ResponseWriter, r *http.Request) (any, error)

// ServeHTTP answers one request.
func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out, err := h(w, r)
	status := http.StatusOK
	switch {
	case err == nil && out == nil:
		w.WriteHeader(http.StatusNoContent)
		return
	case err == nil:
	case errors.Is(err, store.ErrNotFound):
		status, out = http.StatusNotFound, errorBody{Error: err.Error()}
	case errors.Is(err, store.ErrExists):
		status, out = http.StatusConflict, errorBody{Error: err.Error()}
	case errors.Is(err, ErrInvalid):
		status, out = http.StatusBadRequest, errorBody{Error: err.Error()}
	default:
		status, out = http.StatusInternalServerError, errorBody{Error: err.Error()}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(out) // a client that does not read it has gone
}

// Decode reads the JSON of a request.
func Decode(w http.ResponseWriter, r *http.Request, in any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	d.DisallowUnknownFields()
	if err := d.Decode(in); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}
