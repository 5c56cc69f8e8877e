package mcsclient

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// ChannelError is a refusal of RegisterChannel, in Google's envelope (docs/spec/ccs.md §7.4).
type ChannelError struct {
	Status  int // HTTP status
	Reason  string
	Message string
}

// Error returns a text with the message of the server.
func (e *ChannelError) Error() string {
	return fmt.Sprintf("channel refused: %s (%s)", e.Message, e.Reason)
}

// RegisterChannel makes the device an instance of an app of GCM for Chrome for a user, and returns
// the channel ID. It posts to baseURL + "/gcm_for_chrome/v1/channels". If hc is nil, it uses
// http.DefaultClient.
func RegisterChannel(ctx context.Context, hc *http.Client, baseURL string, id Identity, user, app string) (channelID string, err error) {
	form := url.Values{"user": {user}, "app": {app}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint(baseURL, "/gcm_for_chrome/v1/channels"), strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "AidLogin "+id.String()+":"+id.token())
	status, body, err := do(hc, req)
	if err != nil {
		return "", fmt.Errorf("mcsclient: register a channel: %w", err)
	}
	var answer struct {
		ChannelID string `json:"channelId"`
		Error     struct {
			Errors  []struct{ Reason string }
			Message string
		}
	}
	err = json.Unmarshal(body, &answer)
	switch {
	case err == nil && len(answer.Error.Errors) > 0:
		refused := &ChannelError{Status: status, Reason: answer.Error.Errors[0].Reason, Message: answer.Error.Message}
		return "", fmt.Errorf("mcsclient: register a channel: %w", refused)
	case status != http.StatusOK:
		return "", fmt.Errorf("mcsclient: register a channel: status %d", status)
	case err != nil:
		return "", fmt.Errorf("mcsclient: register a channel: %w", err)
	}
	return answer.ChannelID, nil
}
