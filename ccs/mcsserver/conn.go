package mcsserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"openccs/ccs"
	"openccs/ccs/mcs"
)

// conn is one connection, from accept to close.
type conn struct {
	srv *Server
	tcp net.Conn
	nc  *tls.Conn // owned by the goroutine in serve

	mu     sync.Mutex
	reason error // why it was closed from outside, nil while it was not
}

// longAgo as a deadline unblocks a read at once.
var longAgo = time.Unix(1, 0)

// close ends the connection from outside. It never blocks.
func (c *conn) close(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == nil {
		c.reason = reason
	}
	c.tcp.SetReadDeadline(longAgo)
}

func (c *conn) closedFor() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}

// setReadDeadline sets a deadline unless the connection was closed from outside.
func (c *conn) setReadDeadline(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == nil {
		c.tcp.SetReadDeadline(t)
	}
}

// serve runs the connection until it ends.
func (c *conn) serve() {
	defer c.tcp.Close()
	log := c.srv.log.With(zap.Stringer("peer", c.tcp.RemoteAddr()))
	accepted := time.Now()
	c.setReadDeadline(accepted.Add(c.srv.opts.HandshakeTimeout))
	c.tcp.SetWriteDeadline(accepted.Add(c.srv.opts.HandshakeTimeout))
	if t, ok := c.tcp.(*net.TCPConn); ok {
		// A device may be silent for half an hour and some never answer a ping (DEV 8), so that the kernel has
		// to find the dead.
		t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4})
	}
	c.nc = tls.Server(c.tcp, c.srv.opts.TLS)
	if err := c.nc.Handshake(); err != nil {
		log.Debug("TLS handshake failed", zap.Error(err))
		return
	}
	c.setReadDeadline(accepted.Add(c.srv.opts.LoginTimeout))
	in := mcs.NewReader(c.nc, mcs.MaxLogin)
	s, err := c.login(in, log)
	if err != nil {
		log.Info("login failed", zap.Error(err))
		c.nc.Close()
		return
	}
	c.setReadDeadline(time.Time{})
	in.SetLimit(mcs.MaxFrame)
	err = s.run()
	if reason := c.closedFor(); reason != nil {
		err = reason
	}
	if errors.Is(err, ccs.ErrShuttingDown) {
		s.sayClose()
	}
	c.tcp.SetWriteDeadline(time.Now().Add(closeTimeout))
	c.nc.Close()
	s.log.Info("session closed", zap.Error(err), zap.Int("delivered", s.delivered), zap.Int("received", s.received),
		zap.Duration("took", time.Since(accepted)))
}

const (
	closeTimeout  = 2 * time.Second
	attachTimeout = 15 * time.Second // for an older session of the device to end
)

// login reads the version and the LoginRequest, and answers them (DEV 6).
func (c *conn) login(in *mcs.Reader, log *zap.Logger) (*session, error) {
	version, err := in.ReadVersion()
	if err != nil {
		return nil, fmt.Errorf("read version: %w", err)
	}
	if version < oldestVersion {
		return nil, fmt.Errorf("version %d: want %d or more", version, oldestVersion)
	}
	tag, payload, err := in.Next()
	if err != nil {
		return nil, fmt.Errorf("read login request: %w", err)
	}
	if tag != mcs.TagLoginRequest {
		return nil, fmt.Errorf("%s before the login request", tag)
	}
	var req mcs.LoginRequest
	if err := req.Unmarshal(payload); err != nil {
		return nil, fmt.Errorf("login request: %w", err)
	}
	device, err := c.authenticate(&req)
	if err != nil {
		c.write(mcs.AppendFrame([]byte{mcs.Version}, mcs.TagLoginResponse, &mcs.LoginResponse{
			ID:    req.ID,
			Error: &mcs.ErrorInfo{Code: 401, Message: "Authentication Failed: wrong_secret"},
		}))
		return nil, fmt.Errorf("device %q: %w", req.User, err)
	}
	s := newSession(c, in, device, &req, log)
	ctx, cancel := context.WithTimeout(c.srv.ctx, attachTimeout)
	defer cancel()
	if s.box, err = c.srv.router.Attach(ctx, device.Key(), s); err != nil {
		return nil, err
	}
	if err := s.dropKnown(req.ReceivedPersistentIDs); err != nil {
		s.box.Detach(c.srv.ctx)
		return nil, err
	}
	resp := mcs.LoginResponse{ID: req.ID, LastStreamID: 1, ServerTimestamp: time.Now().UnixMilli()}
	if hb := c.srv.opts.Heartbeat; hb > 0 {
		resp.HeartbeatConfig = &mcs.HeartbeatConfig{IntervalMS: int32(hb.Milliseconds())}
	}
	if err := c.write(mcs.AppendFrame([]byte{mcs.Version}, mcs.TagLoginResponse, &resp)); err != nil {
		s.box.Detach(c.srv.ctx)
		return nil, err
	}
	return s, nil
}

// oldestVersion is the oldest that clients have been seen to send or accept (DEV 4).
const oldestVersion = 38

func (c *conn) authenticate(req *mcs.LoginRequest) (ccs.DeviceID, error) {
	if req.AuthService != 0 && req.AuthService != mcs.AuthServiceAndroidID {
		return 0, fmt.Errorf("auth_service %d: %w", req.AuthService, ccs.ErrUnknownDevice)
	}
	device, err := ccs.ParseDeviceID(req.User)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ccs.ErrUnknownDevice, err)
	}
	token, err := strconv.ParseUint(req.AuthToken, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the security token is no number: %w", ccs.ErrUnknownDevice)
	}
	return device, c.srv.router.Authenticate(c.srv.ctx, uint64(device), token)
}

func (c *conn) write(b []byte) error {
	c.tcp.SetWriteDeadline(time.Now().Add(c.srv.opts.WriteTimeout))
	if _, err := c.nc.Write(b); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// isAndroid reports whether a client names upstream messages by their persistent id (DEV 10).
func isAndroid(loginID string) bool { return strings.HasPrefix(loginID, "android-") }
