package httpserver

import (
	"maps"
	"slices"

	"github.com/openccs/openccs/ccs/mcs"
)

// settings are the settings that check-ins send (DEV 2.5).
type settings struct {
	sorted []mcs.Setting
	digest string
}

func newSettings(values map[string]string) settings {
	var s settings
	for _, name := range slices.Sorted(maps.Keys(values)) {
		s.sorted = append(s.sorted, mcs.Setting{Name: name, Value: values[name]})
	}
	s.digest = mcs.SettingsDigest(s.sorted)
	return s
}

// addTo adds the settings to an answer, unless the device has exactly these. They are complete:
// they replace settings from this or another server.
func (s *settings) addTo(resp *mcs.CheckinResponse, has string) {
	if len(s.sorted) == 0 {
		return
	}
	resp.Digest = s.digest
	if has != s.digest {
		resp.Settings, resp.SettingsDiff = s.sorted, new(bool)
	}
}
