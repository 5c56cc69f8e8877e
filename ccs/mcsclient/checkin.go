package mcsclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/openccs/openccs/ccs/mcs"
)

// ErrUnknownDevice says that the server does not know the identity. The device must enrol again,
// and its tokens are lost (DEV 2.1).
var ErrUnknownDevice = errors.New("unknown device or wrong security token")

// maxAnswer is the maximum size of an HTTP answer.
const maxAnswer = 1 << 20

// browser is the Chrome build that this client claims to be.
var browser = mcs.ChromeBuild{Platform: 3, Version: "156.0.8078.79", Channel: 5}

// CheckIn enrols a device whose identity is zero, and confirms one that has an identity. It posts
// to baseURL + "/checkin". If hc is nil, it uses http.DefaultClient.
func CheckIn(ctx context.Context, hc *http.Client, baseURL string, id Identity) (Identity, error) {
	body := (&mcs.CheckinRequest{
		AndroidID:     id.AndroidID,
		Digest:        mcs.EmptySettingsDigest,
		ClientType:    mcs.ClientChromeBrowser,
		ChromeBuild:   &browser,
		SecurityToken: id.SecurityToken,
		Version:       mcs.CheckinVersion,
	}).Append(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint(baseURL, "/checkin"), bytes.NewReader(body))
	if err != nil {
		return Identity{}, fmt.Errorf("mcsclient: check in: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	status, answer, err := do(hc, req)
	switch {
	case err != nil:
		return Identity{}, fmt.Errorf("mcsclient: check in: %w", err)
	case status == http.StatusUnauthorized:
		return Identity{}, fmt.Errorf("mcsclient: check in: %w", ErrUnknownDevice)
	case status != http.StatusOK:
		return Identity{}, fmt.Errorf("mcsclient: check in: status %d", status)
	}
	var resp mcs.CheckinResponse
	if err := resp.Unmarshal(answer); err != nil {
		return Identity{}, fmt.Errorf("mcsclient: check in: %w", err)
	}
	if !resp.StatsOK || resp.AndroidID == 0 || resp.SecurityToken == 0 {
		return Identity{}, errors.New("mcsclient: check in: the answer has no identity")
	}
	return Identity{AndroidID: resp.AndroidID, SecurityToken: resp.SecurityToken}, nil
}

func endpoint(baseURL, path string) string { return strings.TrimSuffix(baseURL, "/") + path }

// do sends a request and reads the answer, up to maxAnswer bytes.
func do(hc *http.Client, req *http.Request) (status int, body []byte, err error) {
	if hc == nil {
		hc = http.DefaultClient
	}
	resp, err := hc.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, body, err
}
