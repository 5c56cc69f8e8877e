package mcsclient

import "strconv"

// Identity is a device's only credential (DEV 1). Its JSON form is
// {"android_id":"…","security_token":"…"} with decimal numbers. The token is a secret.
type Identity struct {
	AndroidID     uint64 `json:"android_id,string"`
	SecurityToken uint64 `json:"security_token,string"`
}

// String returns only the android id, so that the token never gets into a log.
func (id Identity) String() string { return strconv.FormatUint(id.AndroidID, 10) }

func (id Identity) token() string { return strconv.FormatUint(id.SecurityToken, 10) }
