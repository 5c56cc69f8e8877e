// Package appserver is what the programs in Go have in common: the script that every client plays, and the
// counting. The library's part, to log in and to move the messages, stays with the program.
package appserver

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime/debug"
	"sync"
)

// Text goes both ways in each message: what XML, JSON or both have to escape, and what is not ASCII.
const Text = `a<b> & "c" 'd' \ é`

// Options are the flags of every program.
type Options struct {
	Addr, CA, Sender, Key, Token string
	Count, Upstream, Window      int
	Receipt                      bool
}

// ParseFlags reads the command line.
func ParseFlags() (o Options) {
	log.SetFlags(0)
	flag.StringVar(&o.Addr, "addr", "", "host:port of the server")
	flag.StringVar(&o.CA, "ca", "", "PEM file of the CA to trust")
	flag.StringVar(&o.Sender, "sender", "", "sender ID")
	flag.StringVar(&o.Key, "key", "", "API key")
	flag.StringVar(&o.Token, "token", "", "registration token to send to")
	flag.IntVar(&o.Count, "count", 0, "messages to send")
	flag.IntVar(&o.Upstream, "upstream", 0, "upstream messages to wait for")
	flag.IntVar(&o.Window, "window", 0, "messages in flight")
	flag.BoolVar(&o.Receipt, "receipt", false, "ask for a delivery receipt and wait for it")
	flag.Parse()
	return o
}

// Message is the JSON of CCS in both directions.
type Message struct {
	To            string            `json:"to,omitempty"`
	From          string            `json:"from,omitempty"`
	ID            string            `json:"message_id"`
	Type          string            `json:"message_type,omitempty"`
	Error         string            `json:"error,omitempty"`
	ControlType   string            `json:"control_type,omitempty"`
	ReceiptWanted bool              `json:"delivery_receipt_requested,omitempty"`
	Data          map[string]string `json:"data,omitempty"`
}

// Report is what a program prints. Whatever was answered or received twice counts in Repeated, and nowhere else.
type Report struct {
	Client   string  `json:"client"`
	Version  string  `json:"version"`
	Sent     int     `json:"sent"`
	Acked    int     `json:"acked"`
	Nack     *string `json:"nack"`
	Upstream int     `json:"upstream"`
	Receipt  *string `json:"receipt"`
	Drained  bool    `json:"drained"` // CONNECTION_DRAINING was seen
	Ended    bool    `json:"ended"`   // the end of the stream was seen, or the client has left it for another
	Repeated int     `json:"repeated"`
	Errors   int     `json:"errors"` // stanza errors, and text that is not what was sent
}

// AppServer plays the script.
type AppServer struct {
	o    Options
	send func(*Message) error

	mu       sync.Mutex
	changed  *sync.Cond // the library has told something
	answers  map[string][]*Message
	answered int
	upstream map[string]int
	receipts map[string][]*Message
	rep      Report
}

// New is for a program on the library at the module path. Its send writes one message.
func New(client, path string, o Options, send func(*Message) error) *AppServer {
	a := &AppServer{o: o, send: send, answers: map[string][]*Message{}, upstream: map[string]int{}, receipts: map[string][]*Message{}}
	a.changed = sync.NewCond(&a.mu)
	a.rep = Report{Client: client, Version: version(path)}
	return a
}

func version(path string) string {
	info, _ := debug.ReadBuildInfo()
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return ""
}

// Handle takes the JSON that the server sent, and the type of its stanza. It returns the acknowledgement that
// the library has to send, nil for none.
func (a *AppServer) Handle(stanzaType string, payload []byte) *Message {
	var m Message
	if err := json.Unmarshal(payload, &m); err != nil {
		log.Fatalf("%q: %v", payload, err)
	}
	return a.HandleMessage(stanzaType, &m)
}

// HandleMessage is Handle for a library that decodes by itself.
func (a *AppServer) HandleMessage(stanzaType string, m *Message) *Message {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.changed.Broadcast()
	switch {
	case stanzaType == "error":
		log.Printf("stanza error for %+v", m)
		a.rep.Errors++
		return nil
	case m.Type == "ack", m.Type == "nack":
		a.answers[m.ID] = append(a.answers[m.ID], m)
		a.answered++
		return nil
	case m.Type == "control":
		a.rep.Drained = m.ControlType == "CONNECTION_DRAINING"
		return nil
	case m.Type == "receipt":
		a.receipts[m.ID] = append(a.receipts[m.ID], m)
	default:
		a.upstream[m.ID]++
		if m.Data["text"] != Text {
			log.Printf("upstream %s: text is %q", m.ID, m.Data["text"])
			a.rep.Errors++
		}
	}
	return &Message{To: m.From, ID: m.ID, Type: "ack"}
}

// Drained is for a library that keeps the control message to itself.
func (a *AppServer) Drained() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rep.Drained = true
	a.changed.Broadcast()
}

// Ended notes that the stream has ended.
func (a *AppServer) Ended() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rep.Ended = true
	a.changed.Broadcast()
}

// wait returns when what the library has told makes cond true.
func (a *AppServer) wait(cond func() bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for !cond() {
		a.changed.Wait()
	}
}

// until is wait while there is a stream.
func (a *AppServer) until(what string, cond func() bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for !cond() {
		if a.rep.Ended {
			log.Fatalf("the stream ended before %s: %d answers, %d upstream", what, a.answered, len(a.upstream))
		}
		a.changed.Wait()
	}
	log.Print(what)
}

// ask sends a message; answered tells when its answer is there.
func (a *AppServer) ask(m *Message) (answered func() bool) {
	if err := a.send(m); err != nil {
		log.Fatalf("send %s: %v", m.ID, err)
	}
	return func() bool { return a.answers[m.ID] != nil }
}

func (a *AppServer) data(n string) map[string]string { return map[string]string{"n": n, "text": Text} }

// Run plays the script to the end of the stream, which is the server's to bring about, and prints the report. A
// library that then is on another connection by itself sends moved there, if that is not "".
func (a *AppServer) Run(moved string) {
	for i := range a.o.Count {
		a.mu.Lock()
		for a.rep.Sent-a.answered >= a.o.Window && !a.rep.Ended {
			a.changed.Wait()
		}
		a.rep.Sent++
		a.mu.Unlock()
		a.ask(&Message{To: a.o.Token, ID: fmt.Sprint("m-", i), Data: a.data(fmt.Sprint(i))})
	}
	a.until("all answered", func() bool { return a.answered >= a.o.Count })
	a.until("bogus token refused", a.ask(&Message{To: "no-such-token", ID: "bogus", Data: a.data("bogus")}))
	if a.o.Receipt {
		a.ask(&Message{To: a.o.Token, ID: "receipt", ReceiptWanted: true, Data: a.data("receipt")})
		a.until("receipt received", func() bool { return a.receipts["dr2:receipt"] != nil })
	}
	a.until("all upstream received", func() bool { return len(a.upstream) >= a.o.Upstream })
	// Our acknowledgements are on their way before this: who drains when it arrives has them all.
	a.ask(&Message{To: a.o.Token, ID: "done", Data: a.data("done")})

	a.wait(func() bool { return a.rep.Ended })
	if moved != "" {
		a.wait(a.ask(&Message{To: a.o.Token, ID: moved, Data: a.data(moved)}))
		log.Print("answered on another connection")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count()
	json.NewEncoder(os.Stdout).Encode(&a.rep)
}

func (a *AppServer) count() {
	for i := range a.o.Count {
		if got := a.answers[fmt.Sprint("m-", i)]; len(got) == 1 && got[0].Type == "ack" {
			a.rep.Acked++
		}
	}
	for _, got := range a.answers {
		a.rep.Repeated += len(got) - 1
	}
	for _, n := range a.upstream {
		a.rep.Repeated += n - 1
		if n == 1 {
			a.rep.Upstream++
		}
	}
	if got := a.answers["bogus"]; got != nil {
		a.rep.Nack = &got[0].Error
	}
	for _, got := range a.receipts {
		a.rep.Repeated += len(got) - 1
		if got[0].Data["original_message_id"] == "receipt" {
			status := got[0].Data["message_status"]
			a.rep.Receipt = &status
		}
	}
}
