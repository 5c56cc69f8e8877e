// Package domains has the names of Google's hosts and XMPP domains that unmodified clients dial,
// verify or compare. Other packages use these constants, so that each name stands in one place. The
// package has no state.
package domains

import (
	"fmt"
	"slices"
	"strings"
)

// XMPP domains. GCM and FCM are hosts too.
const (
	// GCM is for app servers (CCS 1.6). It is also the sender of the server's own messages.
	GCM     = "gcm.googleapis.com"
	FCM     = "fcm.googleapis.com" // the same after the change of name
	Devices = "device.gcm.googleapis.com"
)

// Hosts that app servers dial for XMPP (CCS 1.1).
const (
	gcmXMPP    = "gcm-xmpp.googleapis.com"
	fcmXMPP    = "fcm-xmpp.googleapis.com"
	staging    = "gcm-staging.googleapis.com"
	preprod    = "gcm-preprod.googleapis.com"
	gcmAndroid = "projects.gcm.android.com" // only a domain
)

// Hosts of the APIs over HTTP (CCS 6, 7).
const (
	android = "android.googleapis.com"
	gcmHTTP = "gcm-http.googleapis.com"
	iid     = "iid.googleapis.com"

	oauth2    = "oauth2.googleapis.com"
	apis      = "www.googleapis.com"
	accounts  = "accounts.google.com"
	chromiums = "jmt17.google.com" // Web Push of Chromium builds (DEV 9.5)
)

// Hosts that devices dial (DEV 1, 12).
const (
	androidClients = "android.clients.google.com"
	mtalk          = "mtalk.google.com"
	installations  = "firebaseinstallations.googleapis.com"
	registrations  = "fcmregistrations.googleapis.com"

	alternates = 8 // of mtalk
)

// logins are the domains that an app server may name when it logs in (CCS 1.6).
var logins = []string{GCM, FCM, gcmAndroid, gcmXMPP, preprod, staging, fcmXMPP}

// Logins returns the domains that an app server may name when it logs in, besides the server's own
// (CCS 1.6).
func Logins() []string { return slices.Clone(logins) }

// IsLogin reports whether an app server may name a domain when it logs in. It can then not be that
// of devices.
func IsLogin(domain string) bool { return slices.Contains(logins, strings.ToLower(domain)) }

// Hosts returns the hosts that unmodified clients dial and verify.
func Hosts() []string {
	hosts := []string{
		GCM, gcmXMPP, staging, preprod, fcmXMPP,
		android, gcmHTTP, FCM, iid,
		oauth2, apis, accounts, chromiums,
		androidClients, mtalk, installations, registrations,
	}
	for i := 1; i <= alternates; i++ {
		hosts = append(hosts, fmt.Sprintf("alt%d-%s", i, mtalk))
	}
	return hosts
}
