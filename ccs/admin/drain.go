package admin

import (
	"context"
	"fmt"
	"net/http"
)

type drainRequest struct {
	SenderID   string `json:"sender_id"`
	Connection string `json:"connection"`
}

type drainAnswer struct {
	Connections int `json:"connections"`
}

// DrainRoute adds the route that drains connections. drain starts draining the connections of a
// sender ("" for any) with a given name ("" for any), and returns their number.
func DrainRoute(mux *http.ServeMux, drain func(sender, connection string) int) {
	mux.Handle("POST /drain", Handler(func(w http.ResponseWriter, r *http.Request) (any, error) {
		var in drainRequest
		if err := Decode(w, r, &in); err != nil {
			return nil, err
		}
		return drainAnswer{Connections: drain(in.SenderID, in.Connection)}, nil
	}))
}

// Drain asks the server to drain connections of app servers: all, those of a sender, or one by its
// bound address or resource. It returns the number of connections that began to drain, and does
// not wait for them to end.
func (c *Client) Drain(ctx context.Context, sender, connection string) (int, error) {
	var out drainAnswer
	if err := c.Do(ctx, http.MethodPost, "/drain", drainRequest{SenderID: sender, Connection: connection}, &out); err != nil {
		return 0, fmt.Errorf("drain: %w", err)
	}
	return out.Connections, nil
}
