package ccs

import (
	"time"

	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/flowcontrol"
)

// Profile is the limits of one era of the protocol. The zero value of a field means its default.
type Profile struct {
	Window         int // downstream messages of a connection not yet answered; default 1000 (CCS 4.1)
	UpstreamWindow int // messages to an XMPP connection not yet acknowledged: upstream ones, or a device's; default 1000 (CCS 4.2)

	Payload payload.Rules // what a downstream message may hold (CCS 2.4, 2.6)

	AwayMessages  int              // messages without collapse key that wait for an app instance whose device is away; default 100 (CCS 5.5)
	CollapseKeys  int              // collapse keys that wait for an app instance; default 4 (CCS 5.3)
	DeviceBacklog int              // messages that may wait while the device is connected; default 10000
	DeviceRate    flowcontrol.Rate // downstream messages to one device; default no limit (CCS 5.10)
	SenderBacklog int              // upstream messages that may wait for a sender, of which one device may have 1 %, but at least 100; default 100000 (CCS 4.3)
	UpstreamRate  flowcontrol.Rate // upstream messages of one device; default no limit (CCS 5.10)

	UpstreamPayload int           // bytes of keys and values of an upstream message; default 4096 (DEV 10)
	UpstreamTTL     time.Duration // longest life of an upstream message; default 4 weeks (CCS 9 no. 7)
	// UnnamedUpstreamTTL is the life of an upstream message whose device names none; default one day (CCS 9 no. 7).
	UnnamedUpstreamTTL time.Duration
}

// The names of the profiles. DefaultProfile accepts clients of every era; the others keep to the limits of one.
const (
	DefaultProfile = "default"
	ProfileGCM2013 = "gcm-2013" // the first documents of CCS
	ProfileGCM2015 = "gcm-2015" // GCM 3.0
	ProfileFCM2019 = "fcm-2019" // FCM's legacy protocol, with its rates
)

// ProfileNames returns the names that NamedProfile knows, the default first and then the eras in their order.
func ProfileNames() []string {
	return []string{DefaultProfile, ProfileGCM2013, ProfileGCM2015, ProfileFCM2019}
}

// NamedProfile returns the limits of an era, or false if the name is unknown.
func NamedProfile(name string) (_ Profile, ok bool) {
	gcm3 := Profile{
		Window: 100, UpstreamWindow: 100, SenderBacklog: 100, // CCS 4.1 to 4.3
		Payload:     payload.Rules{StrictDataKeys: true}, // CCS 2.4
		UpstreamTTL: 24 * time.Hour,                      // CCS 9 no. 7
	}
	switch name {
	case "", DefaultProfile:
		return Profile{}, true
	case ProfileGCM2013:
		return Profile{Window: 1000, UpstreamWindow: 1000, UnnamedUpstreamTTL: payload.MaxTTL}, true
	case ProfileGCM2015:
		return gcm3, true
	case ProfileFCM2019:
		fcm := gcm3
		fcm.DeviceRate = flowcontrol.Rate{Every: time.Minute / 240, Burst: 240} // CCS 5.10
		fcm.UpstreamRate = flowcontrol.Rate{Every: time.Minute / 1000, Burst: 1000}
		return fcm, true
	}
	return Profile{}, false
}

// The numbers that a Profile has by default and that no other package names.
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
