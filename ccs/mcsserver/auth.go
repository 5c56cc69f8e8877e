package mcsserver

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/mcs"
)

// authenticate checks the credentials of a login: the android id and the security token from
// check-in (DEV 6).
func (c *conn) authenticate(req *mcs.LoginRequest) (ccs.DeviceID, error) {
	if req.AuthService != 0 && req.AuthService != mcs.AuthServiceAndroidID {
		return 0, fmt.Errorf("auth_service %d: %w", req.AuthService, ccs.ErrUnknownDevice)
	}
	device, err := ccs.ParseDeviceID(req.User)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ccs.ErrUnknownDevice, err)
	}
	token, err := strconv.ParseUint(req.AuthToken, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the security token is no number: %w", ccs.ErrUnknownDevice)
	}
	return device, c.srv.router.Authenticate(c.srv.ctx, uint64(device), token)
}

// isAndroid reports whether a client identifies upstream messages by their persistent ID (DEV 10).
func isAndroid(loginID string) bool { return strings.HasPrefix(loginID, "android-") }
