package mcs

import (
	"crypto/sha1"
	"encoding/hex"
)

// CheckinVersion is the protocol version in the check-in of current clients (DEV 2.2).
const CheckinVersion = 3

// EmptySettingsDigest is the digest of a device that holds no settings (DEV 2.5).
const EmptySettingsDigest = "1-da39a3ee5e6b4b0d3255bfef95601890afd80709"

// SettingsDigest returns the digest of settings that are sorted by name (DEV 2.5).
func SettingsDigest(sorted []Setting) string {
	h := sha1.New()
	for _, s := range sorted {
		h.Write(append([]byte(s.Name), 0))
		h.Write(append([]byte(s.Value), 0))
	}
	return "1-" + hex.EncodeToString(h.Sum(nil))
}

// These are the types of client that check in. 0 means that the client named none, which stands
// for Android.
const (
	ClientAndroid       = 1
	ClientIOS           = 2
	ClientChromeBrowser = 3
	ClientChromeOS      = 4
)

// ChromeBuild describes a browser.
type ChromeBuild struct {
	Platform int32 // 1 Windows, 2 macOS, 3 Linux, 4 Chrome OS, 5 iOS, 6 Android
	Version  string
	Channel  int32 // 1 stable, 2 beta, 3 dev, 4 canary, 5 unknown
}

// CheckinRequest is the part of an AndroidCheckinRequest that matters to a server (DEV 2.2).
type CheckinRequest struct {
	AndroidID     uint64 // 0 on the first check-in
	Digest        string
	ClientType    int32        // of the nested AndroidCheckinProto
	ChromeBuild   *ChromeBuild // of the nested AndroidCheckinProto; nil if absent
	SecurityToken uint64       // 0 on the first check-in
	Version       int32
}

const (
	checkinID               = 2<<3 | wireVarint
	checkinDigest           = 3<<3 | wireBytes
	checkinCheckin          = 4<<3 | wireBytes
	checkinSecurityToken    = 13<<3 | wireFixed64
	checkinVersion          = 14<<3 | wireVarint
	checkinUserSerialNumber = 22<<3 | wireVarint

	checkinProtoType        = 12<<3 | wireVarint
	checkinProtoChromeBuild = 13<<3 | wireBytes

	chromeBuildPlatform = 1<<3 | wireVarint
	chromeBuildVersion  = 2<<3 | wireBytes
	chromeBuildChannel  = 3<<3 | wireVarint
)

// Append appends the message's fields to b. Like Chromium, it writes zeros too.
func (m *CheckinRequest) Append(b []byte) []byte {
	b = appendInt(b, checkinID, int64(m.AndroidID))
	b = appendStrIf(b, checkinDigest, m.Digest)
	b, at := openLen(append(b, byte(checkinCheckin)))
	b = appendIntIf(b, checkinProtoType, int64(m.ClientType))
	if c := m.ChromeBuild; c != nil {
		var at int
		b, at = openLen(append(b, byte(checkinProtoChromeBuild)))
		b = appendIntIf(b, chromeBuildPlatform, int64(c.Platform))
		b = appendStrIf(b, chromeBuildVersion, c.Version)
		b = appendIntIf(b, chromeBuildChannel, int64(c.Channel))
		b = closeLen(b, at)
	}
	b = closeLen(b, at)
	b = appendFixed64(b, checkinSecurityToken, m.SecurityToken)
	b = appendInt(b, checkinVersion, int64(m.Version))
	return appendInt(b, checkinUserSerialNumber, 0)
}

// Unmarshal reads the message from b and shares b's memory.
func (m *CheckinRequest) Unmarshal(b []byte) error {
	*m = CheckinRequest{}
	f := fields{rest: b}
	for f.next() {
		switch f.key {
		case checkinID:
			m.AndroidID = f.n
		case checkinDigest:
			m.Digest = f.str()
		case checkinCheckin:
			f.nested(m.unmarshalCheckin)
		case checkinSecurityToken:
			m.SecurityToken = f.n
		case checkinVersion:
			m.Version = f.int32()
		}
	}
	return f.err
}

func (m *CheckinRequest) unmarshalCheckin(b []byte) error {
	f := fields{rest: b}
	for f.next() {
		switch f.key {
		case checkinProtoType:
			m.ClientType = f.int32()
		case checkinProtoChromeBuild:
			m.ChromeBuild = new(ChromeBuild)
			f.nested(m.ChromeBuild.unmarshal)
		}
	}
	return f.err
}

func (c *ChromeBuild) unmarshal(b []byte) error {
	f := fields{rest: b}
	for f.next() {
		switch f.key {
		case chromeBuildPlatform:
			c.Platform = f.int32()
		case chromeBuildVersion:
			c.Version = f.str()
		case chromeBuildChannel:
			c.Channel = f.int32()
		}
	}
	return f.err
}

// CheckinResponse is an AndroidCheckinResponse (DEV 2.3).
type CheckinResponse struct {
	StatsOK       bool  // required; true
	TimeMS        int64 // server time; microG requires more than 0
	Digest        string
	Settings      []Setting
	AndroidID     uint64
	SecurityToken uint64
	SettingsDiff  *bool // nil: keep the settings; false: replace them; true: merge
}

const (
	checkinRespStatsOK       = 1<<3 | wireVarint
	checkinRespTimeMS        = 3<<3 | wireVarint
	checkinRespDigest        = 4<<3 | wireBytes
	checkinRespSetting       = 5<<3 | wireBytes
	checkinRespAndroidID     = 7<<3 | wireFixed64
	checkinRespSecurityToken = 8<<3 | wireFixed64
	checkinRespSettingsDiff  = 9<<3 | wireVarint
)

// Append appends the message's fields to b.
func (m *CheckinResponse) Append(b []byte) []byte {
	b = appendBool(b, checkinRespStatsOK, m.StatsOK)
	b = appendIntIf(b, checkinRespTimeMS, m.TimeMS)
	b = appendStrIf(b, checkinRespDigest, m.Digest)
	b = appendSettings(b, checkinRespSetting, m.Settings)
	b = appendFixed64(b, checkinRespAndroidID, m.AndroidID)
	b = appendFixed64(b, checkinRespSecurityToken, m.SecurityToken)
	if m.SettingsDiff != nil {
		b = appendBool(b, checkinRespSettingsDiff, *m.SettingsDiff)
	}
	return b
}

// Unmarshal reads the message from b. The result shares b's memory, and Settings keeps its array.
func (m *CheckinResponse) Unmarshal(b []byte) error {
	*m = CheckinResponse{Settings: m.Settings[:0]}
	f := fields{rest: b}
	for f.next() {
		switch f.key {
		case checkinRespStatsOK:
			m.StatsOK = f.bool()
		case checkinRespTimeMS:
			m.TimeMS = f.int64()
		case checkinRespDigest:
			m.Digest = f.str()
		case checkinRespSetting:
			var s Setting
			f.nested(s.unmarshal)
			m.Settings = append(m.Settings, s)
		case checkinRespAndroidID:
			m.AndroidID = f.n
		case checkinRespSecurityToken:
			m.SecurityToken = f.n
		case checkinRespSettingsDiff:
			diff := f.bool()
			m.SettingsDiff = &diff
		}
	}
	return f.err
}
