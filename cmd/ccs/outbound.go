package main

import (
	"crypto/tls"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/stanza"
)

// options print everything; what could not be printed is not acknowledged.
func (l *listener) options(conf *tls.Config, log *zap.Logger) ccsclient.Options {
	printed := func(o *stanza.Outbound) error {
		err := printOutbound(l.out, l.asJSON, o)
		if err != nil {
			l.fail(fmt.Errorf("print a message: %w", err))
		}
		return err
	}
	return ccsclient.Options{
		TLS:        conf,
		Logger:     log,
		OnUpstream: printed,
		OnReceipt:  func(o *stanza.Outbound) { _ = printed(o) }, // printed has ended the command
		OnControl:  func(o *stanza.Outbound) { _ = printed(o) },
	}
}

// outboundEvent is what an app server gets, as JSON: part of the contract with scripts.
type outboundEvent struct {
	Event     string            `json:"event"`
	From      string            `json:"from"`
	MessageID string            `json:"message_id"`
	Category  string            `json:"category"`
	Data      map[string]string `json:"data"`
}

// controlEvent is the same for a control message (CCS 3.7).
type controlEvent struct {
	Event       string `json:"event"`
	ControlType string `json:"control_type"`
}

// printOutbound prints an upstream message, a receipt or a control message.
func printOutbound(out *output, asJSON bool, o *stanza.Outbound) error {
	if o.Type == stanza.TypeControl {
		if asJSON {
			return out.json(controlEvent{Event: "control", ControlType: o.ControlType})
		}
		return out.printf("control %s\n", o.ControlType)
	}
	event := "upstream"
	if o.Type == stanza.TypeReceipt {
		event = "receipt"
	}
	data := maps.Collect(o.Data.All())
	if asJSON {
		return out.json(outboundEvent{Event: event, From: o.From, MessageID: o.MessageID, Category: o.Category, Data: data})
	}
	return out.printf("%s %s from %s (%s)%s\n", event, o.MessageID, shorten(o.From), o.Category, formatData(data))
}

// formatData is " key=value …" in the order of the keys, quoted where a reader could not tell the parts
// apart.
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

// shorten makes a token fit on a line.
func shorten(token string) string {
	const begin, end = 12, 6
	if len(token) <= begin+end+1 {
		return token
	}
	return token[:begin] + "…" + token[len(token)-end:]
}
