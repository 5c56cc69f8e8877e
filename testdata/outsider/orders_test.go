package orders_test

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.org/outsider"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/clock"
	"github.com/openccs/openccs/ccs/mcsclient"
)

// phone is what a customer sees.
type phone struct {
	*mcsclient.Device
	token string

	mu   sync.Mutex
	seen []string
}

func newPhone(s *ccstest.Server) *phone {
	d := s.Enrol("org.example.shop")
	p := &phone{token: d.Token}
	p.Device = s.RunDevice(d, mcsclient.DeviceOptions{Options: mcsclient.Options{OnMessage: p.message}})
	return p
}

func (p *phone) message(m *mcsclient.Message) {
	order, _ := m.Get("order")
	state, _ := m.Get("state")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, order+" "+state)
}

func (p *phone) want(t *testing.T, want ...string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !reflect.DeepEqual(p.seen, want) {
		t.Errorf("the phone has seen %q, want %q", p.seen, want)
	}
}

// open connects a shop until the test ends.
func open(t *testing.T, s *ccstest.Server) *orders.Shop {
	shop := orders.New(s.XMPPAddr(), s.Sender, s.Key, ccsclient.Options{TLS: s.TLS(), Dial: s.Dial})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := shop.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("the shop ended: %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return shop
}

func TestACustomerIsToldAndAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ccstest.Start(t, ccstest.InMemory)
		shop := open(t, s)
		p := newPhone(s)
		shop.Customer("ann", p.token)
		if err := shop.Tell(t.Context(), "ann", "4711", "paid"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		p.want(t, "4711 paid")
		if err := p.Send(t.Context(), &mcsclient.Upstream{ID: "a-1", To: s.Sender, Category: "org.example.shop", Data: []mcsclient.Pair{{Key: "text", Value: "thanks"}}}, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := shop.Answers(p.token); !reflect.DeepEqual(got, []string{"thanks"}) {
			t.Errorf("answers: %q", got)
		}
		if !shop.IsRead("4711", "paid") {
			t.Error("no receipt")
		}
	})
}

// The shop notices nothing of a server that restarts.
func TestAServerRestarts(t *testing.T) {
	s := ccstest.Start(t, ccstest.Disk)
	shop := open(t, s)
	p := newPhone(s)
	shop.Customer("ann", p.token)
	if err := shop.Tell(t.Context(), "ann", "1", "paid"); err != nil {
		t.Fatal(err)
	}
	s.Restart()
	if err := shop.Tell(t.Context(), "ann", "2", "paid"); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if shop.IsRead("2", "paid") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.want(t, "1 paid", "2 paid")
}

func TestAnOldMessageIsNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := clock.NewManual(time.Date(2015, 6, 1, 9, 0, 0, 0, time.UTC))
		s := ccstest.Start(t, ccstest.InMemory, ccstest.Clock(now))
		shop := open(t, s)
		d := s.Enrol("org.example.shop") // and the phone is off
		shop.Customer("ann", d.Token)
		if err := shop.Tell(t.Context(), "ann", "1", "paid"); err != nil {
			t.Fatal(err)
		}
		now.Advance(25 * time.Hour)
		p := &phone{}
		s.Connect(d, mcsclient.Options{OnMessage: p.message})
		synctest.Wait()
		p.want(t)
	})
}

func TestTheAppIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ccstest.Start(t, ccstest.InMemory)
		shop := open(t, s)
		d := s.Enrol("org.example.shop")
		shop.Customer("ann", d.Token)
		r := mcsclient.Registration{App: d.App, Senders: []string{s.Sender}}
		if err := mcsclient.Unregister(t.Context(), s.HTTP(), s.HTTPURL(), d.Identity, r); err != nil {
			t.Fatal(err)
		}
		if err := shop.Tell(t.Context(), "ann", "1", "paid"); !errors.Is(err, orders.ErrGone) {
			t.Errorf("got %v", err)
		}
	})
}
