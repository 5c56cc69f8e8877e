package httpserver

import (
	"maps"
	"slices"

	"github.com/openccs/openccs/ccs/mcs"
)

// settings is what check-ins hand out (DEV 2.5).
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

// addTo adds the settings to an answer, unless the device has just these. They come whole: what a device had before,
// from us or another server, is gone.
func (s *settings) addTo(resp *mcs.CheckinResponse, has string) {
	if len(s.sorted) == 0 {
		return
	}
	resp.Digest = s.digest
	if has != s.digest {
		resp.Settings, resp.SettingsDiff = s.sorted, new(bool)
	}
}
