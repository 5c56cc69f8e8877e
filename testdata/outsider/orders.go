// Package orders tells customers' phones what became of their orders, and takes the phones' answers.
package orders

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/stanza"
)

// ErrGone means that the customer's app is not there any more.
var ErrGone = errors.New("the app is not installed any more")

// Shop is an app server.
type Shop struct {
	app *ccsclient.AppServer

	mu      sync.Mutex
	tokens  map[string]string   // by customer
	read    map[string]bool     // orders whose message the phone has
	answers map[string][]string // by token
}

// New makes a shop. Run connects it.
func New(addr, sender, key string, o ccsclient.Options) *Shop {
	s := &Shop{tokens: map[string]string{}, read: map[string]bool{}, answers: map[string][]string{}}
	o.OnUpstream = s.answered
	o.OnReceipt = s.received
	s.app = ccsclient.NewAppServer(addr, sender, key, ccsclient.AppServerOptions{Options: o})
	return s
}

// Run keeps the shop connected until ctx ends.
func (s *Shop) Run(ctx context.Context) error { return s.app.Run(ctx) }

// Customer notes where a customer's app is.
func (s *Shop) Customer(name, token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[name] = token
}

// Tell sends the state of an order. It tries again while the server refuses for a while only.
func (s *Shop) Tell(ctx context.Context, customer, order, state string) error {
	s.mu.Lock()
	token := s.tokens[customer]
	s.mu.Unlock()
	for wait := time.Second; ; wait *= 2 {
		ack, err := s.app.SendWait(ctx, &ccsclient.Message{
			To:               token,
			MessageID:        order + "/" + state,
			CollapseKey:      order,
			TTL:              24 * time.Hour,
			Priority:         ccsclient.High,
			Data:             map[string]string{"order": order, "state": state},
			ReceiptRequested: true,
		})
		var refused *ccsclient.Nack
		switch {
		case err == nil:
			if ack.RegistrationID != "" {
				s.Customer(customer, ack.RegistrationID)
			}
			return nil
		case !errors.As(err, &refused):
			return err
		case refused.Code == stanza.DeviceUnregistered || refused.Code == stanza.BadRegistration:
			return ErrGone
		case !refused.Temporary():
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Shop) answered(u *ccsclient.Upstream) error {
	text, ok := u.Data.Get("text")
	if !ok {
		return nil // nothing that we understand: the server may forget it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[u.From] = append(s.answers[u.From], text)
	return nil
}

func (s *Shop) received(r *ccsclient.Receipt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read[r.OriginalID] = true
}

// IsRead reports whether the phone has the message about an order's state.
func (s *Shop) IsRead(order, state string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read[order+"/"+state]
}

// Answers are what a customer wrote.
func (s *Shop) Answers(token string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.answers[token]...)
}
