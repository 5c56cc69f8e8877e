package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"

	"github.com/openccs/openccs/store"
)

// ErrNoServer says that no server runs on the data directory.
var ErrNoServer = errors.New("no server runs")

// dialTimeout bounds a connect. A server on the same machine that takes longer hangs.
const dialTimeout = 5 * time.Second

// Client calls a running server. Its methods for projects do the same as those of Projects.
type Client struct {
	http *http.Client
	pid  int
}

// Dial finds the server that runs on a data directory, or returns ErrNoServer. It ignores a stale
// socket of a killed server.
func Dial(dir string) (*Client, error) {
	b, err := os.ReadFile(placePath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w on %s", ErrNoServer, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("find the server on %s: %w", dir, err)
	}
	var p place
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("find the server on %s: %s: %w", dir, placePath(dir), err)
	}
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.Dial("unix", p.Socket)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w on %s", ErrNoServer, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("reach the server on %s: %w", dir, err)
	}
	conn.Close()
	return &Client{
		pid: p.PID,
		http: &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return d.DialContext(ctx, "unix", p.Socket)
			},
		}},
	}, nil
}

// PID returns the process ID of the server.
func (c *Client) PID() int { return c.pid }

// Close closes idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Create does the same as Projects.Create.
func (c *Client) Create(ctx context.Context, name, sender string) (*Credentials, error) {
	var out Credentials
	return &out, c.Do(ctx, http.MethodPost, "/projects", createRequest{Name: name, SenderID: sender}, &out)
}

// List does the same as Projects.List.
func (c *Client) List(ctx context.Context) ([]Project, error) {
	var out []Project
	err := c.Do(ctx, http.MethodGet, "/projects", nil, &out)
	return out, err
}

// AddKey does the same as Projects.AddKey.
func (c *Client) AddKey(ctx context.Context, sender, name string) (*Credentials, error) {
	var out Credentials
	return &out, c.Do(ctx, http.MethodPost, "/projects/"+url.PathEscape(sender)+"/keys", keyRequest{Name: name}, &out)
}

// SetLimits does the same as Projects.SetLimits.
func (c *Client) SetLimits(ctx context.Context, sender string, l Limits) error {
	return c.Do(ctx, http.MethodPut, "/projects/"+url.PathEscape(sender)+"/limits", l, nil)
}

// RevokeKey does the same as Projects.RevokeKey.
func (c *Client) RevokeKey(ctx context.Context, sender, keyID string) error {
	if err := checkKeyID(keyID); err != nil {
		return err
	}
	path := "/projects/" + url.PathEscape(sender) + "/keys/" + url.PathEscape(keyID)
	return c.Do(ctx, http.MethodDelete, path, nil, nil)
}

// SetKeyNetworks does the same as Projects.SetKeyNetworks.
func (c *Client) SetKeyNetworks(ctx context.Context, sender, keyID string, networks []string) error {
	if err := checkKeyID(keyID); err != nil {
		return err
	}
	path := "/projects/" + url.PathEscape(sender) + "/keys/" + url.PathEscape(keyID) + "/networks"
	return c.Do(ctx, http.MethodPut, path, networksRequest{Networks: networks}, nil)
}

// Delete does the same as Projects.Delete.
func (c *Client) Delete(ctx context.Context, sender string) error {
	return c.Do(ctx, http.MethodDelete, "/projects/"+url.PathEscape(sender), nil, nil)
}

// Do sends in as JSON to a path of the server, and decodes the answer into out. Either may be nil.
// A refusal by the server is an error that is store.ErrNotFound, store.ErrExists or ErrInvalid, as
// on the server.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://ccs"+path, body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the server: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		return refusal(resp)
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	return nil
}

// remoteError is an error of the server, with the server's text.
type remoteError struct {
	message string
	kind    error // nil for an error without a sentinel
}

func (e *remoteError) Error() string { return e.message }
func (e *remoteError) Unwrap() error { return e.kind }

func refusal(resp *http.Response) error {
	var body errorBody
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || body.Error == "" {
		return fmt.Errorf("the server answered %s", resp.Status)
	}
	e := &remoteError{message: body.Error}
	switch resp.StatusCode {
	case http.StatusNotFound:
		e.kind = store.ErrNotFound
	case http.StatusConflict:
		e.kind = store.ErrExists
	case http.StatusBadRequest:
		e.kind = ErrInvalid
	}
	return e
}
