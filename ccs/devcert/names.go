package devcert

import (
	"os"
	"strings"

	"github.com/openccs/openccs/ccs/domains"
)

// Names returns the names and addresses for a server certificate on this machine: Google's hosts,
// the loopback names and the host name.
func Names() []string {
	names := append(domains.Hosts(), "localhost", "127.0.0.1", "::1")
	if host, err := os.Hostname(); err == nil && isDNSName(host) && host != "localhost" {
		names = append(names, strings.ToLower(host))
	}
	return names
}

// isDNSName reports whether a certificate can contain the host name.
func isDNSName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '.':
			return false
		}
		return true
	})
}
