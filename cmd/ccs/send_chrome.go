package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/openccs/openccs/ccs/admin"
)

// chromeFlags are the flags of ccs send for GCM for Chrome.
type chromeFlags struct {
	Subchannel    string `default:"0" placeholder:"N" help:"Subchannel for --via chrome: 0, 1, 2 or 3."`
	ChromePayload string `placeholder:"TEXT" help:"Payload for --via chrome. Default: empty."`
	AccessToken   string `placeholder:"TOKEN" help:"Access token for --via chrome. Default: one for --refresh-token."`
	ClientID      string `placeholder:"ID" help:"OAuth client for --refresh-token."`
	ClientSecret  string `placeholder:"SECRET" help:"Secret of the OAuth client for --refresh-token."`
	RefreshToken  string `placeholder:"TOKEN" help:"Refresh token for --via chrome. Default: that of an OAuth client that the running server makes for this command."`
}

// viaChrome is the door of GCM for Chrome.
const viaChrome = "chrome"

// maxChromeAnswer bounds the answers that are read.
const maxChromeAnswer = 64 << 10

// chromeSender sends to a channel.
type chromeSender struct {
	cmd   *sendCmd
	out   *output
	http  *http.Client
	url   string
	token string
}

// sendChrome sends the messages by GCM for Chrome, one after the other.
func (c *sendCmd) sendChrome(ctx context.Context, out *output) (err error) {
	needed := map[string]string{"--http": c.HTTP}
	if c.AccessToken == "" && c.RefreshToken == "" {
		needed["--sender"] = c.Sender
	}
	k, err := needCard(c.Data, needed)
	if err != nil {
		return err
	}
	if c.CA == "" && (c.HTTP == "" || c.HTTP == k.HTTP) {
		c.CA = k.CAFile
	}
	fill(&c.HTTP, k.HTTP)
	fill(&c.Sender, k.SenderID)
	conf, err := clientTLS(c.CA)
	if err != nil {
		return err
	}
	s := &chromeSender{cmd: c, out: out, url: strings.TrimRight(c.HTTP, "/"), token: c.AccessToken}
	s.http = &http.Client{Transport: &http.Transport{TLSClientConfig: conf}, Timeout: 30 * time.Second}
	defer s.http.CloseIdleConnections()
	if s.token == "" {
		done, err := s.authorize(ctx)
		if err != nil {
			return explainDial(err, c.Data)
		}
		defer done()
	}
	refused := 0
	for range c.Count {
		ok, err := s.send(ctx)
		if err != nil {
			return explainDial(err, c.Data)
		}
		if !ok {
			refused++
		}
	}
	if c.Count > 1 && !c.JSON {
		err = out.printf("accepted %d, refused %d of %d\n", c.Count-refused, refused, c.Count)
	}
	if err == nil && refused > 0 {
		err = errSilent
	}
	return err
}

// authorize gets an access token. done revokes the OAuth client if one was made for this command.
func (s *chromeSender) authorize(ctx context.Context) (done func(), err error) {
	c := s.cmd
	made := &admin.OAuthCredentials{ClientID: c.ClientID, ClientSecret: c.ClientSecret, RefreshToken: c.RefreshToken}
	done = func() {}
	if c.RefreshToken == "" {
		client, err := admin.Dial(c.Data)
		if err != nil {
			return nil, &hintedError{err: err, hint: "give --access-token, or --client-id, --client-secret and --refresh-token, from ccs project oauth create"}
		}
		if made, err = client.CreateOAuth(ctx, c.Sender, admin.OAuthRequest{Name: "ccs send"}); err != nil {
			return nil, errors.Join(err, client.Close())
		}
		done = func() {
			if err := errors.Join(client.RevokeOAuth(context.WithoutCancel(ctx), made.ClientID, false), client.Close()); err != nil {
				s.out.note("revoke the OAuth client of this command: %v", err)
			}
		}
	}
	form := url.Values{
		"client_id": {made.ClientID}, "client_secret": {made.ClientSecret}, "refresh_token": {made.RefreshToken}, "grant_type": {"refresh_token"},
	}
	status, body, err := s.post(ctx, "/o/oauth2/token", "application/x-www-form-urlencoded", []byte(form.Encode()))
	var answer struct {
		AccessToken string `json:"access_token"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err == nil {
		_ = json.Unmarshal(body, &answer) // an answer that is no JSON has no token
	}
	switch {
	case err != nil:
	case answer.AccessToken == "":
		err = fmt.Errorf("get an access token: status %d %s: %s", status, answer.Error, answer.Description)
	}
	if err != nil {
		done()
		return nil, err
	}
	s.token = answer.AccessToken
	return done, nil
}

// send sends one message and prints the answer. It reports whether the message was accepted.
func (s *chromeSender) send(ctx context.Context) (ok bool, err error) {
	message, err := json.Marshal(map[string]string{"channelId": s.cmd.Token, "subchannelId": s.cmd.Subchannel, "payload": s.cmd.ChromePayload})
	if err != nil {
		return false, err
	}
	status, body, err := s.post(ctx, "/gcm_for_chrome/v1/messages", "application/json", message)
	if err != nil {
		return false, err
	}
	event := chromeEvent{Event: "accepted", ChannelID: s.cmd.Token, Subchannel: s.cmd.Subchannel, Status: status}
	if status/100 != 2 {
		var answer struct {
			Error struct {
				Message string
				Errors  []struct{ Reason string }
			}
		}
		_ = json.Unmarshal(body, &answer) // an answer that is no JSON says nothing
		event.Event, event.Message = "refused", answer.Error.Message
		if len(answer.Error.Errors) > 0 {
			event.Reason = answer.Error.Errors[0].Reason
		}
	}
	ok = event.Event == "accepted"
	switch {
	case s.cmd.JSON:
		return ok, s.out.json(event)
	case !ok:
		return ok, s.out.printf("refused %d %s: %s\n", status, event.Reason, event.Message)
	case s.cmd.Count == 1:
		return ok, s.out.printf("accepted\n")
	}
	return ok, nil
}

// post posts a body, with the access token if there is one.
func (s *chromeSender) post(ctx context.Context, path, contentType string, body []byte) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", contentType)
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxChromeAnswer))
	return resp.StatusCode, answer, err
}

// chromeEvent is an answer as JSON. It is part of the contract with scripts.
type chromeEvent struct {
	Event      string `json:"event"`
	ChannelID  string `json:"channel_id"`
	Subchannel string `json:"subchannel_id"`
	Status     int    `json:"status"`
	Reason     string `json:"reason"`
	Message    string `json:"message"`
}
