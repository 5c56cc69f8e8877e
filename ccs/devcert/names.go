package devcert

import (
	"fmt"
	"os"
	"strings"
)

// googleHosts are the host names that unmodified clients dial and verify.
var googleHosts = []string{
	// App servers dial these (CCS 1.1). The last is the host in their stream header.
	"gcm.googleapis.com",
	"gcm-xmpp.googleapis.com",
	"gcm-staging.googleapis.com",
	"gcm-preprod.googleapis.com",
	"fcm-xmpp.googleapis.com",
	// App servers over HTTP.
	"android.googleapis.com",
	"gcm-http.googleapis.com",
	"fcm.googleapis.com",
	"iid.googleapis.com",
	// Devices: DEV 1 and 12.
	"android.clients.google.com",
	"mtalk.google.com",
	"firebaseinstallations.googleapis.com",
	"fcmregistrations.googleapis.com",
}

// Names returns the names and addresses for a server certificate on this machine: Google's hosts, the
// loopback names and the host name.
func Names() []string {
	names := append([]string(nil), googleHosts...)
	for i := 1; i <= 8; i++ {
		names = append(names, fmt.Sprintf("alt%d-mtalk.google.com", i))
	}
	names = append(names, "localhost", "127.0.0.1", "::1")
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
