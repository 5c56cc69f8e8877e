package main

import (
	"crypto/tls"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs/ccsclient"
)

// options returns callbacks that print everything. A message that was not printed is not
// acknowledged.
func (l *listener) options(conf *tls.Config, log *zap.Logger) ccsclient.Options {
	printed := func(err error) error {
		if err != nil {
			l.fail(fmt.Errorf("print a message: %w", err))
		}
		return err
	}
	return ccsclient.Options{
		TLS:        conf,
		Logger:     log,
		OnUpstream: func(u *ccsclient.Upstream) error { return printed(printUpstream(l.out, l.asJSON, u)) },
		// printed ends the command if there is an error.
		OnReceipt: func(r *ccsclient.Receipt) { _ = printed(printReceipt(l.out, l.asJSON, r)) },
		OnControl: func(c *ccsclient.Control) { _ = printed(printControl(l.out, l.asJSON, c)) },
	}
}

// outboundEvent is a message to an app server, as JSON. It is part of the contract with scripts.
type outboundEvent struct {
	Event     string            `json:"event"`
	From      string            `json:"from"`
	MessageID string            `json:"message_id"`
	Category  string            `json:"category"`
	Data      map[string]string `json:"data"`
}

// controlEvent is a control message as JSON (CCS 3.7).
type controlEvent struct {
	Event       string `json:"event"`
	ControlType string `json:"control_type"`
}

func printUpstream(out *output, asJSON bool, u *ccsclient.Upstream) error {
	return printData(out, asJSON, outboundEvent{
		Event: "upstream", From: u.From, MessageID: u.MessageID, Category: u.Category, Data: maps.Collect(u.Data.All()),
	})
}

func printReceipt(out *output, asJSON bool, r *ccsclient.Receipt) error {
	return printData(out, asJSON, outboundEvent{
		Event: "receipt", From: r.From, MessageID: r.MessageID, Category: r.Category, Data: maps.Collect(r.Data.All()),
	})
}

func printData(out *output, asJSON bool, e outboundEvent) error {
	if asJSON {
		return out.json(e)
	}
	return out.printf("%s %s from %s (%s)%s\n", e.Event, e.MessageID, shorten(e.From), e.Category, formatData(e.Data))
}

func printControl(out *output, asJSON bool, c *ccsclient.Control) error {
	if asJSON {
		return out.json(controlEvent{Event: "control", ControlType: c.Type})
	}
	return out.printf("control %s\n", c.Type)
}

// formatData returns " key=value …" in the order of the keys. It quotes ambiguous parts.
func formatData(data map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(data)) {
		value := data[key]
		if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == '"' || r == 0x7f }) {
			value = fmt.Sprintf("%q", value)
		}
		fmt.Fprintf(&b, " %s=%s", key, value)
	}
	return b.String()
}

// shorten shortens a token to fit on a line.
func shorten(token string) string {
	const begin, end = 12, 6
	if len(token) <= begin+end+1 {
		return token
	}
	return token[:begin] + "…" + token[len(token)-end:]
}
