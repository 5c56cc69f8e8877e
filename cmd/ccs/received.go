package main

import (
	"fmt"
	"time"

	"github.com/openccs/openccs/ccs/mcsclient"
)

// devicePrinter prints the events of a device.
type devicePrinter struct {
	out    *output
	asJSON bool
	fail   func(error) // ends the connection; an unprinted message must not count as received
}

// These are the events of a device as JSON. They are part of the contract with scripts.
type (
	messageEvent struct {
		Event        string            `json:"event"`
		From         string            `json:"from"`
		Data         map[string]string `json:"data"`
		PersistentID string            `json:"persistent_id"`
		CollapseKey  string            `json:"collapse_key"`
	}
	deletedEvent struct {
		Event        string `json:"event"`
		TotalDeleted string `json:"total_deleted"`
	}
	sentEvent struct {
		Event     string `json:"event"`
		MessageID string `json:"message_id"`
	}
	sendErrorEvent struct {
		Event     string            `json:"event"`
		MessageID string            `json:"message_id"`
		Error     string            `json:"error"`
		Data      map[string]string `json:"data"`
	}
)

func (p *devicePrinter) check(err error) {
	if err != nil {
		p.fail(fmt.Errorf("print: %w", err))
	}
}

func (p *devicePrinter) connected() { p.check(printConnected(p.out, p.asJSON)) }

func (p *devicePrinter) disconnected(reason error, _ time.Duration) {
	p.check(printDisconnected(p.out, p.asJSON, reason))
}

// message prints a message of the server. It drops unknown types, as devices do (DEV 9.3).
func (p *devicePrinter) message(m *mcsclient.Message) {
	data := make(map[string]string, len(m.Data))
	for _, pair := range m.Data {
		data[pair.Key] = pair.Value
	}
	switch m.Type {
	case "":
		if p.asJSON {
			p.check(p.out.json(messageEvent{"message", m.From, data, m.PersistentID, m.CollapseKey}))
			return
		}
		collapse := ""
		if m.CollapseKey != "" {
			collapse = " (" + m.CollapseKey + ")"
		}
		p.check(p.out.printf("message from %s%s%s\n", m.From, collapse, formatData(data)))
	case mcsclient.TypeDeletedMessages:
		if p.asJSON {
			p.check(p.out.json(deletedEvent{"deleted_messages", data["total_deleted"]}))
			return
		}
		p.check(p.out.printf("deleted_messages: the server threw %s messages away\n", data["total_deleted"]))
	case mcsclient.TypeSendError:
		p.sendError(m.PersistentID, data["error"], data)
	}
}

// sent prints the outcome of an upstream message.
func (p *devicePrinter) sent(id string, err error) {
	switch {
	case err != nil:
		p.sendError(id, err.Error(), map[string]string{})
	case p.asJSON:
		p.check(p.out.json(sentEvent{"sent", id}))
	default:
		p.check(p.out.printf("sent %s\n", id))
	}
}

func (p *devicePrinter) sendError(id, reason string, details map[string]string) {
	if p.asJSON {
		p.check(p.out.json(sendErrorEvent{"send_error", id, reason, details}))
		return
	}
	p.check(p.out.printf("send_error %s: %s\n", id, reason))
}
