package main

import "strings"

const (
	background = "background: nothing that a server has to do"
	notBuilt   = "not built yet"
)

// without has the sections that nothing names, with the reason. A chapter or a page stands for all
// below it.
var without = map[string]string{
	"CCS 0":      background,
	"CCS 1.1":    "which ports are opened is the operator's setting; no test of two listeners names it",
	"CCS 5.9":    "the device's side, which has a page and tests of its own (DEV)",
	"CCS 5.12":   "optional, and off",
	"CCS 6.8":    "in full in TOPICS 4",
	"CCS 6.9":    "in full in TOPICS 5",
	"CCS 10":     background,
	"DEV 1":      background,
	"DEV 9.7":    notBuilt,
	"DEV 15":     background,
	"FCM":        notBuilt,
	"TOPICS 3":   notBuilt,
	"TOPICS 4.3": "optional, and off",
	"TOPICS 10":  background,
	"WEBPUSH":    notBuilt,
}

// reasonWithout returns the reason why a section needs no test, or "" if it needs one. exact is
// true if the reason is for this section only.
func reasonWithout(number string) (reason string, exact bool) {
	page, of, _ := strings.Cut(number, " ")
	chapter, _, _ := strings.Cut(of, ".")
	if reason = without[number]; reason != "" {
		return reason, true
	}
	if reason = without[page+" "+chapter]; reason != "" {
		return reason, false
	}
	return without[page], false
}
