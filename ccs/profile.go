package ccs

import (
	"time"

	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/flowcontrol"
)

// Profile holds the limits and spellings of one era of the protocol. The zero value of a field
// means its default.
type Profile struct {
	// Window is how many downstream messages of a connection may be unanswered; default 1000
	// (CCS 4.1).
	Window int
	// UpstreamWindow is how many messages to an XMPP connection may be unacknowledged: upstream
	// ones, or those to a device. The default is 1000 (CCS 4.2).
	UpstreamWindow int

	Payload payload.Rules // rules for a downstream message (CCS 2.4, 2.6)

	// AwayMessages is how many messages without collapse key may wait for an app instance whose
	// device is away; default 100 (CCS 5.5).
	AwayMessages int
	// CollapseKeys is how many collapse keys may wait for an app instance; default 4 (CCS 5.3).
	CollapseKeys int
	// DeviceBacklog is how many messages may wait while the device is connected; default 10000.
	DeviceBacklog int
	DeviceRate    flowcontrol.Rate // downstream messages to one device; default no limit (CCS 5.10)
	// SenderBacklog is how many upstream messages may wait for a sender; default 100000 (CCS 4.3).
	// One device may have 1 % of it, but at least 100.
	SenderBacklog int
	UpstreamRate  flowcontrol.Rate // upstream messages of one device; default no limit (CCS 5.10)

	// UpstreamPayload is how many bytes of keys and values an upstream message may have; default
	// 4096 (DEV 10).
	UpstreamPayload int
	// UpstreamTTL is the longest life of an upstream message; default 4 weeks (CCS 9 no. 7).
	UpstreamTTL time.Duration
	// UnnamedUpstreamTTL is the life of an upstream message without a TTL; default one day (CCS 9
	// no. 7).
	UnnamedUpstreamTTL time.Duration

	Spellings Spellings
}

// Spellings are the ways in which an era wrote what the server says to app servers. A door reads
// them; to the core they make no difference. The zero value is the form that clients of every era
// understand.
type Spellings struct {
	// OneErrorText puts the whole text of a nack into error: there is no error_description (CCS
	// 3.3, CCS 9 no. 8).
	OneErrorText bool
	// QuotaError names a device's rate QUOTA_EXCEEDED instead of DEVICE_MESSAGE_RATE_EXCEEDED (CCS
	// 9 no. 9).
	QuotaError bool
	// MismatchError names a token of another sender SENDER_ID_MISMATCH instead of BAD_REGISTRATION
	// (CCS 9 no. 13).
	MismatchError bool
	// NoControlID leaves message_id out of the control message (CCS 3.7, CCS 9 no. 23).
	NoControlID bool
}

// The names of the profiles. DefaultProfile accepts clients of every era; each of the others has
// the limits and spellings of one.
const (
	DefaultProfile = "default"
	ProfileGCM2013 = "gcm-2013" // the first documents of CCS
	ProfileGCM2015 = "gcm-2015" // GCM 3.0
	ProfileFCM2019 = "fcm-2019" // FCM's legacy protocol, with its rates
)

// ProfileNames returns the names that NamedProfile knows: the default first, then the eras in their
// order.
func ProfileNames() []string {
	return []string{DefaultProfile, ProfileGCM2013, ProfileGCM2015, ProfileFCM2019}
}

// NamedProfile returns the profile of an era, or false if the name is unknown.
func NamedProfile(name string) (_ Profile, ok bool) {
	gcm3 := Profile{
		Window: 100, UpstreamWindow: 100, SenderBacklog: 100, // CCS 4.1 to 4.3
		Payload:     payload.Rules{StrictDataKeys: true}, // CCS 2.4
		UpstreamTTL: 24 * time.Hour,                      // CCS 9 no. 7
		Spellings:   Spellings{NoControlID: true},
	}
	switch name {
	case "", DefaultProfile:
		return Profile{}, true
	case ProfileGCM2013:
		return Profile{
			Window: 1000, UpstreamWindow: 1000, UnnamedUpstreamTTL: payload.MaxTTL,
			Spellings: Spellings{OneErrorText: true, QuotaError: true, NoControlID: true},
		}, true
	case ProfileGCM2015:
		return gcm3, true
	case ProfileFCM2019:
		fcm := gcm3
		fcm.DeviceRate = flowcontrol.Rate{Every: time.Minute / 240, Burst: 240} // CCS 5.10
		fcm.UpstreamRate = flowcontrol.Rate{Every: time.Minute / 1000, Burst: 1000}
		fcm.Spellings.MismatchError = true
		return fcm, true
	}
	return Profile{}, false
}

// Defaults of a Profile that no other package names.
const (
	DefaultAwayMessages    = 100
	DefaultCollapseKeys    = 4
	DefaultDeviceBacklog   = 10_000
	DefaultSenderBacklog   = 100_000
	DefaultUpstreamPayload = 4096
)

func (p Profile) withDefaults() Profile {
	setDefault(&p.Window, flowcontrol.DefaultWindow)
	setDefault(&p.UpstreamWindow, flowcontrol.DefaultWindow)
	setDefault(&p.AwayMessages, DefaultAwayMessages)
	setDefault(&p.CollapseKeys, DefaultCollapseKeys)
	setDefault(&p.DeviceBacklog, DefaultDeviceBacklog)
	setDefault(&p.SenderBacklog, DefaultSenderBacklog)
	setDefault(&p.UpstreamPayload, DefaultUpstreamPayload)
	setDefault(&p.UpstreamTTL, payload.MaxTTL)
	setDefault(&p.UnnamedUpstreamTTL, 24*time.Hour)
	return p
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}
