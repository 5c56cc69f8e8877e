package mcsclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/openccs/openccs/ccs/mcs"
)

// LoginError says that the server refused a login. With Code 401 the identity is wrong (DEV 6).
// The errors of Dial wrap it.
type LoginError struct {
	Code    int
	Message string
}

// Error returns the code and the server's description.
func (e *LoginError) Error() string { return fmt.Sprintf("login refused: %d %s", e.Code, e.Message) }

// oldVersion is the version that some servers answer instead of mcs.Version (DEV 4).
const oldVersion = 38

// Dial connects to a server, such as "mtalk.example.org:5228", and logs in. The context is only
// for the login: the Client lives until Close or the end of the connection.
func Dial(ctx context.Context, addr string, id Identity, o Options) (*Client, error) {
	c, resp, err := dial(ctx, addr, id, o.withDefaults())
	if err != nil {
		return nil, err
	}
	c.start(resp)
	return c, nil
}

// dial implements Dial without the reading, which start begins. The options must have their
// defaults set.
func dial(ctx context.Context, addr string, id Identity, o Options) (*Client, *mcs.LoginResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, o.LoginTimeout)
	defer cancel()
	raw, err := o.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, nil, fmt.Errorf("mcsclient: connect: %w", err)
	}
	conn := tls.Client(raw, tlsConfig(o.TLS, addr))
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, nil, fmt.Errorf("mcsclient: connect: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(longAgo) })
	c := newClient(conn, o)
	resp, err := c.login(id)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, nil, fmt.Errorf("mcsclient: log in: %w", err)
	}
	return c, resp, nil
}

// longAgo, as a deadline, ends a read or write at once.
var longAgo = time.Unix(1, 0)

func tlsConfig(c *tls.Config, addr string) *tls.Config {
	if c == nil {
		c = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if c.ServerName != "" || c.InsecureSkipVerify {
		return c
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	c = c.Clone()
	c.ServerName = host
	return c
}

// login sends the first frame and reads the server's answer.
func (c *Client) login(id Identity) (*mcs.LoginResponse, error) {
	req := mcs.LoginRequest{
		ID:                    c.opts.ClientID,
		Domain:                "mcs.android.com",
		User:                  id.String(),
		Resource:              id.String(),
		AuthToken:             id.token(),
		DeviceID:              "android-" + strconv.FormatUint(id.AndroidID, 16),
		Settings:              []mcs.Setting{{Name: "new_vc", Value: "1"}},
		ReceivedPersistentIDs: c.opts.Received,
		UseRMQ2:               true,
		AuthService:           mcs.AuthServiceAndroidID,
		NetworkType:           1,
	}
	if c.opts.HeartbeatInterval > 0 { // the interval that the client asks for (DEV 8)
		req.Settings = append(req.Settings, mcs.Setting{
			Name: "hbping", Value: strconv.FormatInt(c.opts.HeartbeatInterval.Milliseconds(), 10)})
	}
	frame := mcs.AppendFrame([]byte{mcs.Version}, mcs.TagLoginRequest, &req)
	if _, err := c.conn.Write(frame); err != nil {
		return nil, err
	}
	c.stream.login(c.opts.Received)

	version, err := c.in.ReadVersion()
	if err != nil {
		return nil, err
	}
	if version < mcs.Version && version != oldVersion {
		return nil, fmt.Errorf("protocol version %d", version)
	}
	tag, payload, err := c.in.Next()
	if err != nil {
		return nil, err
	}
	if tag != mcs.TagLoginResponse {
		return nil, errors.New("the answer is a " + tag.String())
	}
	var resp mcs.LoginResponse
	if err := resp.Unmarshal(payload); err != nil {
		return nil, err
	}
	if resp.Error != nil {
		return nil, &LoginError{Code: int(resp.Error.Code), Message: strings.Clone(resp.Error.Message)}
	}
	c.stream.handle("")
	c.stream.confirm(resp.LastStreamID, nil)
	return &resp, nil
}
