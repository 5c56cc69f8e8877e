package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
)

// Target is a CCS. Connections use its addresses in turn, for a CCS of several nodes.
type Target struct {
	XMPP    []string // for app servers, and devices that speak XMPP, host and port
	MCS     []string // for other devices; not needed without them
	HTTP    string   // URL for check-in and registration
	TLS     *tls.Config
	Senders []Credentials // at least as many as the plan has
}

// Credentials are the sender ID and the API key of an app server.
type Credentials struct {
	SenderID string `json:"sender_id" yaml:"sender_id"`
	APIKey   string `json:"api_key" yaml:"api_key"`
}

// ErrNotLoopback says that a target is not on this machine.
var ErrNotLoopback = errors.New("not on this machine")

// CheckLoopback returns ErrNotLoopback if an address is not on this machine: load is only for
// servers of its user.
func (t *Target) CheckLoopback(ctx context.Context) error {
	var hosts []string
	for _, addr := range append(append([]string{}, t.XMPP...), t.MCS...) {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return fmt.Errorf("address %q: %w", addr, err)
		}
		hosts = append(hosts, host)
	}
	u, err := url.Parse(t.HTTP)
	if err != nil {
		return fmt.Errorf("address %q: %w", t.HTTP, err)
	}
	for _, host := range append(hosts, u.Hostname()) {
		ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			return err
		}
		for _, ip := range ips {
			if !ip.Unmap().IsLoopback() {
				return fmt.Errorf("%s is %w", host, ErrNotLoopback)
			}
		}
	}
	return nil
}
