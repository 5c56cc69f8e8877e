package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/openccs/openccs/ccs/ccsclient"
)

type sendCmd struct {
	appServerFlags
	messageFlags
	chromeFlags
	Via   string   `default:"xmpp" enum:"xmpp,http,chrome" placeholder:"DOOR" help:"Door to send through: xmpp, http, or chrome for GCM for Chrome."`
	HTTP  string   `name:"http" placeholder:"URL" help:"HTTP URL of the server, for --via http and chrome. Default: the URL on the connection card."`
	Token string   `arg:"" help:"Registration token of the device, as ccs device prints it. With --via chrome: channel ID."`
	Pairs []string `arg:"" optional:"" name:"key=value" help:"Data of the message."`

	CollapseKey string `placeholder:"KEY" help:"Collapse key: a newer message with the same key replaces a waiting one. Default: none."`
	Priority    string `default:"" enum:",normal,high" placeholder:"LEVEL" help:"Priority: normal or high. Default: none set."`
	Receipt     bool   `help:"Request for a delivery receipt, which ccs listen prints when the device has the message. Default: none."`
	DryRun      bool   `help:"Check of the message without delivery. Default: delivery."`
	JSON        bool   `help:"Output as JSON, one object a line. Default: text."`
}

// messageFlags are the flags for messages of both directions.
type messageFlags struct {
	MessageID string `name:"message-id" placeholder:"ID" help:"Message ID, with -1, -2 … appended if --count is above 1. Default: random."`
	TTL       *int   `name:"ttl" placeholder:"SECONDS" help:"Time to live of the message, in seconds. Default: as long as the server allows."`
	Count     int    `default:"1" placeholder:"N" help:"Number of times to send the message."`
}

// Validate reports flags that no server can obey.
func (f *messageFlags) Validate() error {
	var problems []error
	if f.Count < 1 {
		problems = append(problems, fmt.Errorf("--count %d: send at least 1", f.Count))
	}
	if f.TTL != nil && *f.TTL < 0 {
		problems = append(problems, fmt.Errorf("--ttl %d: give seconds, 0 or more", *f.TTL))
	}
	return errors.Join(problems...)
}

// id returns the message ID of message i, counted from 1.
func (f *messageFlags) id(i int) string {
	switch {
	case f.MessageID == "":
		return "m-" + strings.ToLower(rand.Text())
	case f.Count == 1:
		return f.MessageID
	}
	return f.MessageID + "-" + strconv.Itoa(i)
}

// Help returns the long help with examples.
func (sendCmd) Help() string {
	return `Prints the answer of the server to each message. The exit code is 1 if the server refused one.

Examples:

    ccs send TOKEN greeting=hello
    ccs send TOKEN score=3-1 --collapse-key score --ttl 3600
    ccs send TOKEN n=1 --count 1000 --message-id run7 --json
    ccs send --via http TOKEN greeting=hello
    ccs send --via chrome 08144192009958038014/abebbaoboeficpkmpcadfkbblmbjkklf --subchannel 1 --chrome-payload ping
    ccs send --xmpp push.example.org:5235 --ca ca.pem --sender 123456789012 --key AIza… TOKEN k=v
`
}

// Run sends the messages and waits for every answer.
func (c *sendCmd) Run(ctx context.Context, out *output) error {
	if c.Via == viaChrome {
		return c.sendChrome(ctx, out)
	}
	message, err := c.message()
	if err != nil {
		return err
	}
	if c.Via == viaHTTP {
		return c.runHTTP(ctx, out, message)
	}
	if err := c.resolve(); err != nil {
		return err
	}
	conf, err := clientTLS(c.CA)
	if err != nil {
		return err
	}
	client, err := ccsclient.Dial(ctx, c.XMPP, c.Sender, c.Key, ccsclient.Options{
		TLS: conf,
		// Without OnUpstream, messages of devices stay with the server, for ccs listen.
		OnReceipt: func(r *ccsclient.Receipt) {
			if err := printReceipt(out, c.JSON, r); err != nil {
				out.note("print a receipt: %v", err)
			}
		},
	})
	if err != nil {
		return explainDial(err, c.Data)
	}
	defer client.Close()
	return c.sendAll(ctx, out, client, message)
}

// message returns the message to send, without its ID.
func (c *sendCmd) message() (ccsclient.Message, error) {
	m := ccsclient.Message{
		To:               c.Token,
		CollapseKey:      c.CollapseKey,
		ReceiptRequested: c.Receipt,
		DryRun:           c.DryRun,
		Priority: map[string]ccsclient.Priority{
			"normal": ccsclient.Normal, "high": ccsclient.High,
		}[c.Priority],
	}
	if c.TTL != nil {
		m.TTL = cmp.Or(time.Duration(*c.TTL)*time.Second, ccsclient.NowOrNever)
	}
	pairs, err := parsePairs(c.Pairs)
	if err != nil {
		return m, err
	}
	if len(pairs) > 0 {
		m.Data = pairs
	}
	return m, nil
}

// sender is the part of a client that sendAll needs. Send waits while the window is full. It calls
// done once for each accepted message.
type sender interface {
	Send(ctx context.Context, m *ccsclient.Message, done func(ccsclient.Reply)) error
}

// sendAll sends the messages as fast as the window allows and waits for their answers.
func (c *sendCmd) sendAll(ctx context.Context, out *output, client sender, m ccsclient.Message) error {
	t := &tally{total: c.Count}
	stop := t.showProgress(out)
	answered := make(chan struct{}, c.Count)
	var sent int
	var err error
	for sent < c.Count && err == nil {
		message := m
		message.MessageID = c.id(sent + 1)
		err = client.Send(ctx, &message, func(r ccsclient.Reply) {
			t.add(c.printReply(out, r))
			answered <- struct{}{}
		})
		if err == nil {
			sent++
		}
	}
	for waited := 0; waited < sent && ctx.Err() == nil; waited++ {
		select {
		case <-answered:
		case <-ctx.Done():
		}
	}
	stop()
	acked, refused, failure := t.result()
	if c.Count > 1 && !c.JSON {
		err = errors.Join(err, out.printf("acked %d, refused %d of %d\n", acked, refused, c.Count))
	}
	switch err = errors.Join(err, failure, ctx.Err()); {
	case err != nil:
		return err
	case refused > 0:
		return errSilent
	}
	return nil
}

// named returns " " and an ID, or "" if there is none: the refusal of a message over HTTP has none.
func named(id string) string {
	if id == "" {
		return ""
	}
	return " " + id
}

// printReply prints an answer. It returns the error if the answer is not from the server.
func (c *sendCmd) printReply(out *output, r ccsclient.Reply) (refused bool, err error) {
	var nack *ccsclient.Nack
	switch {
	case r.Err == nil && c.JSON:
		return false, out.json(ackEvent{Event: "ack", MessageID: r.MessageID, From: c.Token, RegistrationID: r.RegistrationID})
	case r.Err == nil && c.Count > 1:
		return false, nil
	case r.Err == nil && r.RegistrationID != "" && r.RegistrationID != c.Token:
		return false, out.printf("ack %s; the device's newer token is %s\n", r.MessageID, r.RegistrationID)
	case r.Err == nil:
		return false, out.printf("ack %s\n", r.MessageID)
	case !errors.As(r.Err, &nack):
		return false, fmt.Errorf("message %s: %w", r.MessageID, r.Err)
	case c.JSON:
		return true, out.json(nackEvent{Event: "nack", MessageID: r.MessageID, Error: string(nack.Code), Description: nack.Description})
	}
	return true, out.printf("nack%s %s\n", named(r.MessageID), refusal(nack))
}

// refusal returns the content of a nack in one line.
func refusal(n *ccsclient.Nack) string {
	if n.Description == "" {
		return string(n.Code)
	}
	return string(n.Code) + ": " + n.Description
}

// These are the answers as JSON. They are part of the contract with scripts.
type (
	ackEvent struct {
		Event          string `json:"event"`
		MessageID      string `json:"message_id"`
		From           string `json:"from"`
		RegistrationID string `json:"registration_id"`
	}
	nackEvent struct {
		Event       string `json:"event"`
		MessageID   string `json:"message_id"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
)

// tally counts the outcomes of the messages of one run. It may be used from any goroutine.
type tally struct {
	total int

	mu             sync.Mutex
	acked, refused int
	failure        error // first error that is not an answer
}

func (t *tally) add(refused bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err != nil:
		if t.failure == nil {
			t.failure = err
		}
	case refused:
		t.refused++
	default:
		t.acked++
	}
}

func (t *tally) result() (acked, refused int, failure error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.acked, t.refused, t.failure
}

// showProgress keeps a line on the terminal up to date until stop is called.
func (t *tally) showProgress(out *output) (stop func()) {
	if t.total == 1 || !isTerminal(out.stderr) {
		return func() {}
	}
	return out.showProgress(func() string {
		acked, refused, _ := t.result()
		return fmt.Sprintf("%d of %d answered", acked+refused, t.total)
	})
}
