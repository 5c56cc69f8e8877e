package ccs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/openccs/openccs/store"
)

// SenderID is a project number in decimal, such as "126200347933". It names the account of app
// servers, and thereby their queue.
type SenderID string

// maxSenderDigits keeps a sender ID below 2^63.
const maxSenderDigits = 18

// ParseSenderID parses a bare sender ID, or one that is the local part of an address such as
// "126200347933@gcm.googleapis.com" (CCS 1.6, DEV 10). The caller must check the domain. The error
// does not repeat s, which may be a key in the wrong place.
func ParseSenderID(s string) (SenderID, error) {
	local, _, _ := strings.Cut(s, "@")
	if local == "" || len(local) > maxSenderDigits || local[0] == '0' {
		return "", fmt.Errorf("sender ID: want 1 to %d digits, the first not 0", maxSenderDigits)
	}
	for i := range len(local) {
		if local[i] < '0' || local[i] > '9' {
			return "", errors.New("sender ID: want digits only")
		}
	}
	return SenderID(local), nil
}

func (s SenderID) number() uint64 {
	n, _ := strconv.ParseUint(string(s), 10, 64)
	return n
}

// Key returns the queue of upstream messages for the sender.
func (s SenderID) Key() store.Key { return store.Key{Kind: store.KindSender, ID: s.number()} }

// ReceiptsKey returns the queue of delivery receipts for the sender.
func (s SenderID) ReceiptsKey() store.Key { return store.Key{Kind: store.KindReceipts, ID: s.number()} }

// DeviceID is the android id that check-in gave a device (DEV 2.4), between 1 and 2^63-1.
type DeviceID uint64

// ParseDeviceID parses a device ID in decimal. The error does not repeat s.
func ParseDeviceID(s string) (DeviceID, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return 0, errors.New("android id: want a decimal number between 1 and 2^63-1")
	}
	return DeviceID(n), nil
}

func (d DeviceID) String() string { return strconv.FormatUint(uint64(d), 10) }

// Key returns the queue of downstream messages for the device.
func (d DeviceID) Key() store.Key { return store.Key{Kind: store.KindDevice, ID: uint64(d)} }

// ShortToken returns a registration token as logs show it: enough to find it by, too little to send
// with.
func ShortToken(token string) string {
	const head, tail = 8, 4
	if len(token) <= 2*(head+tail) {
		return "…"
	}
	return token[:head] + "…" + token[len(token)-tail:]
}
