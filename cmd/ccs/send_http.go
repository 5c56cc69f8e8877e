package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/stanza"
)

// The doors of ccs send.
const (
	viaXMPP = "xmpp"
	viaHTTP = "http"
)

// httpTimeout limits one request and its answer.
const httpTimeout = 60 * time.Second

// maxHTTPAnswer limits the bytes of an answer.
const maxHTTPAnswer = 1 << 20

// runHTTP sends the messages over HTTP, one request each (CCS 6).
func (c *sendCmd) runHTTP(ctx context.Context, out *output, message ccsclient.Message) error {
	if c.Receipt || c.MessageID != "" {
		return &usageError{
			err:  errors.New("--receipt and --message-id need a connection over XMPP"),
			hint: "leave them out, or send with --via xmpp",
		}
	}
	if err := c.resolveHTTP(); err != nil {
		return err
	}
	conf, err := clientTLS(c.CA)
	if err != nil {
		return err
	}
	tr := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	client := &httpSender{client: &http.Client{Transport: tr, Timeout: httpTimeout}, url: c.HTTP, key: c.Key}
	err = c.sendAll(ctx, out, client, message)
	if errors.Is(err, errSilent) {
		return err
	}
	return explainDial(err, c.Data)
}

// resolveHTTP fills in the missing values for a send over HTTP. The key says who the sender is.
func (c *sendCmd) resolveHTTP() error {
	card, err := needCard(c.Data, map[string]string{"--http": c.HTTP, "--key": c.Key})
	if err != nil {
		return err
	}
	if c.Key == "" && c.Sender != "" && c.Sender != card.SenderID {
		return &usageError{err: fmt.Errorf("--sender %s: its key is not on the connection card", c.Sender), hint: "give its API key with --key"}
	}
	if c.CA == "" && (c.HTTP == "" || c.HTTP == card.HTTP) {
		c.CA = card.CAFile
	}
	fill(&c.HTTP, card.HTTP)
	fill(&c.Key, card.APIKey)
	if c.Key == "" {
		return noProject("no API key")
	}
	return nil
}

// httpSender sends messages over HTTP. It implements sender.
type httpSender struct {
	client   *http.Client
	url, key string
}

// httpMessage is a request (CCS 6.4).
type httpMessage struct {
	To          string            `json:"to"`
	CollapseKey string            `json:"collapse_key,omitempty"`
	Priority    string            `json:"priority,omitempty"`
	TTL         *int64            `json:"time_to_live,omitempty"`
	DryRun      bool              `json:"dry_run,omitempty"`
	Data        map[string]string `json:"data,omitempty"`
}

// Send sends a message and calls done with the answer, before it returns.
func (h *httpSender) Send(ctx context.Context, m *ccsclient.Message, done func(ccsclient.Reply)) error {
	body := httpMessage{
		To: m.To, CollapseKey: m.CollapseKey, DryRun: m.DryRun, Data: m.Data,
		Priority: map[ccsclient.Priority]string{ccsclient.Normal: "normal", ccsclient.High: "high"}[m.Priority],
	}
	if m.TTL != 0 {
		seconds := int64(max(m.TTL, 0) / time.Second) // NowOrNever is below zero
		body.TTL = &seconds
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(h.url, "/")+"/gcm/send", bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("--http: %w", err)
	}
	req.Header.Set("Authorization", "key="+h.key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := h.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxHTTPAnswer))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode == http.StatusUnauthorized {
		return &hintedError{err: errors.New("the server refused the API key"), hint: "check --key; ccs project list shows the projects"}
	}
	done(replyOf(resp, answer))
	return nil
}

// replyOf reads the answer to a message (CCS 6.5, 6.7).
func replyOf(resp *http.Response, body []byte) (r ccsclient.Reply) {
	var got struct {
		MessageID json.Number `json:"message_id"` // of a message to a topic
		Error     string
		Results   []struct {
			MessageID      string `json:"message_id"`
			RegistrationID string `json:"registration_id"`
			Error          string
		}
	}
	if resp.StatusCode != http.StatusOK || json.Unmarshal(body, &got) != nil {
		text := strings.TrimSpace(string(body))
		if wait := resp.Header.Get("Retry-After"); wait != "" {
			text += ", try again in " + wait + " s"
		}
		r.Err = &ccsclient.Nack{Code: stanza.Code(resp.Status), Description: text}
		return r
	}
	r.MessageID = got.MessageID.String()
	if len(got.Results) > 0 {
		r.MessageID, r.RegistrationID, got.Error = got.Results[0].MessageID, got.Results[0].RegistrationID, got.Results[0].Error
	}
	if got.Error != "" {
		r.Err = &ccsclient.Nack{Code: stanza.Code(got.Error)}
	}
	return r
}
