package devcert

import (
	"fmt"
	"os"
	"strings"
)

// googleHosts are the names that unmodified clients dial and verify.
var googleHosts = []string{
	// App servers: CCS 1.1, and the host that they name in the stream header.
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

// Names are the names and addresses for a server certificate on this machine: Google's hosts, the
// loopback names, and the machine's own name.
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

// isDNSName leaves out machine names that no certificate can carry.
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
