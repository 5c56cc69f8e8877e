package server

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// knownSettings are the settings that Chromium obeys. Chromium drops all settings if one of these
// has a value that it cannot use (DEV 2.5).
var knownSettings = map[string]func(value string) bool{
	"checkin_interval":     func(v string) bool { return isNumber(v, 1, 1<<31) },
	"checkin_url":          isURL,
	"gcm_hostname":         func(v string) bool { return v != "" && !strings.ContainsAny(v, ":/ ") },
	"gcm_secure_port":      func(v string) bool { return isNumber(v, 1, 65535) },
	"gcm_registration_url": isURL,
}

func isNumber(v string, least, most int64) bool {
	n, err := strconv.ParseInt(v, 10, 64)
	return err == nil && n >= least && n <= most
}

func isURL(v string) bool {
	u, err := url.Parse(v)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
}

// parseSettings parses settings for check-ins, each of the form KEY=VALUE.
func parseSettings(list []string) (map[string]string, error) {
	settings := make(map[string]string, len(list))
	for _, text := range list {
		name, value, ok := strings.Cut(text, "=")
		switch known := knownSettings[name]; {
		case !ok || name == "":
			return nil, fmt.Errorf("%q is no setting", text)
		case known != nil && !known(value):
			return nil, fmt.Errorf("no device could use %s, and it would drop all the others for it", text)
		case strings.ContainsRune(text, 0):
			return nil, errors.New("there is a zero byte in it")
		}
		settings[name] = value
	}
	return settings, nil
}
