package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs/card"
	"github.com/openccs/openccs/ccs/mcsclient"
)

type deviceCmd struct {
	dataFlag
	HTTP   string `name:"http" placeholder:"URL" help:"URL for check-in and registration. Default: the URL on the connection card in the data directory."`
	MCS    string `name:"mcs" placeholder:"HOST:PORT" help:"MCS address of the server. Default: the address on the connection card."`
	CA     string `name:"ca" placeholder:"FILE" help:"PEM file with the CA to trust. Default: the CA on the connection card."`
	Sender string `placeholder:"ID" help:"Sender ID that may send to the device, and that the device sends to. Default: the sender ID on the connection card."`

	App          string   `default:"org.example.app" placeholder:"NAME" help:"Name of the app on the device."`
	ChromeUser   string   `placeholder:"NUMBER" help:"User of GCM for Chrome: the device becomes an instance of --app, which is an extension ID, for the user. Default: none."`
	State        string   `placeholder:"FILE" help:"File for the identity and the token of the device. Default: device-APP.json in the data directory."`
	Topic        []string `sep:"none" placeholder:"NAME" help:"Topic to subscribe to; the flag may be repeated. Default: none."`
	RegisterOnly bool     `help:"Registration only: print the token and end. Default: connect and receive."`

	Send []string `sep:"none" placeholder:"KEY=VALUE" help:"Data of an upstream message; more pairs may follow. The command ends when the server has the message. Default: none."`
	messageFlags
	Pairs []string `arg:"" optional:"" name:"key=value" help:"More pairs for --send."`

	JSON     bool   `help:"Output as JSON, one object a line. Default: text."`
	LogLevel string `default:"warn" enum:"debug,info,warn,error" placeholder:"LEVEL" help:"Minimum log level: debug, info, warn or error."`
}

// Help returns the long help with examples.
func (deviceCmd) Help() string {
	return `Checks in and registers the first time, connects, and prints received messages until it is interrupted.
Each run with the same --state is the same device.

Examples:

    ccs device
    ccs device --topic news
    ccs device --send text=hello
    ccs device --register-only --json --state phone.json
    ccs device --app org.example.chat --send n=1 --count 1000 --message-id run7
    ccs device --app abebbaoboeficpkmpcadfkbblmbjkklf --chrome-user 08144192009958038014
    ccs device --http https://push.example.org --mcs push.example.org:5228 --ca ca.pem --sender 123456789012
`
}

// Validate reports contradicting flags.
func (c *deviceCmd) Validate() error {
	if len(c.Pairs) > 0 && len(c.Send) == 0 {
		return fmt.Errorf("%q goes with --send: ccs device --send key=value …", c.Pairs[0])
	}
	if c.RegisterOnly && len(c.Send) > 0 {
		return errors.New("--register-only ends before --send could begin: give one of them")
	}
	return nil
}

// Run runs the device.
func (c *deviceCmd) Run(ctx context.Context, out *output) error {
	data, err := parsePairs(slices.Concat(c.Send, c.Pairs))
	if err != nil {
		return err
	}
	if err := c.resolve(); err != nil {
		return err
	}
	conf, err := clientTLS(c.CA)
	if err != nil {
		return err
	}
	log, err := newLogger(out, c.LogLevel, "auto")
	if err != nil {
		return err
	}
	state, err := openState(c.State)
	if err != nil {
		return err
	}
	d := &device{cmd: c, out: out, log: log, tls: conf, state: state, data: data}
	d.http = &http.Client{Transport: &http.Transport{TLSClientConfig: conf.Clone()}, Timeout: 30 * time.Second}
	defer d.http.CloseIdleConnections()
	return explainDial(d.run(ctx), c.Data)
}

// resolve fills in the missing values.
func (c *deviceCmd) resolve() error {
	needed := map[string]string{"--http": c.HTTP, "--sender": c.Sender, "--mcs": c.MCS}
	if c.RegisterOnly {
		delete(needed, "--mcs")
	}
	k, err := needCard(c.Data, needed)
	if err != nil {
		return err
	}
	if c.CA == "" && (c.HTTP == "" || c.HTTP == k.HTTP) {
		c.CA = k.CAFile
	}
	fill(&c.HTTP, k.HTTP)
	fill(&c.MCS, card.DialAddr(k.MCS))
	fill(&c.Sender, k.SenderID)
	if c.Sender == "" {
		return noProject("no sender ID")
	}
	fill(&c.State, filepath.Join(c.Data, "device-"+c.App+".json"))
	return nil
}

// device is one run of ccs device.
type device struct {
	cmd   *deviceCmd
	out   *output
	log   *zap.Logger
	tls   *tls.Config
	http  *http.Client
	state *deviceState
	data  map[string]string

	channel string // the channel ID; "" without --chrome-user
}

// run registers and connects. It starts again once if the server has forgotten the device.
func (d *device) run(ctx context.Context) error {
	fresh, err := d.registerWithTopics(ctx)
	if err != nil {
		return err
	}
	err = d.registerChannel(ctx)
	if refused := new(mcsclient.ChannelError); errors.As(err, &refused) && refused.Reason == "authError" && !fresh {
		d.out.note("the server does not know this device any more: enrolling again")
		d.state.forget()
		if fresh, err = d.registerWithTopics(ctx); err == nil {
			err = d.registerChannel(ctx)
		}
	}
	if err != nil {
		return err
	}
	if d.cmd.RegisterOnly {
		return d.printRegistration()
	}
	for {
		if err := d.introduce(); err != nil {
			return err
		}
		err := d.connect(ctx)
		var refused *mcsclient.LoginError
		if !errors.As(err, &refused) || refused.Code != http.StatusUnauthorized || fresh {
			return err
		}
		d.out.note("the server does not know this device any more: enrolling again")
		d.state.forget()
		if fresh, err = d.registerWithTopics(ctx); err == nil {
			err = d.registerChannel(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// register ensures an identity and a token with as few requests as possible. It reports whether the
// identity is new.
func (d *device) register(ctx context.Context) (fresh bool, err error) {
	if d.state.token(d.cmd.HTTP, d.cmd.App, d.cmd.Sender) != "" {
		return false, nil
	}
	for {
		fresh = d.state.Identity == mcsclient.Identity{}
		err := d.enrol(ctx)
		var refused *mcsclient.RegisterError
		forgotten := errors.Is(err, mcsclient.ErrUnknownDevice) ||
			errors.As(err, &refused) && refused.Code == "PHONE_REGISTRATION_ERROR" // DEV 3.4
		if !forgotten || fresh {
			return fresh, err
		}
		d.out.note("the server does not know this device any more: enrolling again")
		d.state.forget()
	}
}

// registerChannel makes the device an instance of an app of GCM for Chrome, if --chrome-user asks
// for it.
func (d *device) registerChannel(ctx context.Context) (err error) {
	if d.cmd.ChromeUser == "" {
		return nil
	}
	d.channel, err = mcsclient.RegisterChannel(ctx, d.http, d.cmd.HTTP, d.state.Identity, d.cmd.ChromeUser, d.cmd.App)
	var refused *mcsclient.ChannelError
	if errors.As(err, &refused) && refused.Reason == "internalError" {
		return &hintedError{err: err, hint: "give the app to a project with: ccs project apps add " + d.cmd.App}
	}
	return err
}

// enrol checks in, registers and stores the result.
func (d *device) enrol(ctx context.Context) error {
	id, err := mcsclient.CheckIn(ctx, d.http, d.cmd.HTTP, d.state.Identity)
	if err != nil {
		return err
	}
	token, err := mcsclient.Register(ctx, d.http, d.cmd.HTTP, id, mcsclient.Registration{
		App: d.cmd.App, Senders: []string{d.cmd.Sender},
	})
	if err != nil {
		return err
	}
	d.state.Identity = id
	d.state.setToken(d.cmd.HTTP, d.cmd.App, d.cmd.Sender, token)
	return d.state.save()
}

// registerWithTopics registers and subscribes to the topics. It starts again once if the server has
// forgotten the device.
func (d *device) registerWithTopics(ctx context.Context) (fresh bool, err error) {
	fresh, err = d.register(ctx)
	if err != nil {
		return fresh, err
	}
	err = d.subscribe(ctx)
	var refused *mcsclient.RegisterError
	if !errors.As(err, &refused) || fresh {
		return fresh, err
	}
	d.out.note("the server does not know this device any more: enrolling again")
	d.state.forget()
	if fresh, err = d.register(ctx); err != nil {
		return fresh, err
	}
	return fresh, d.subscribe(ctx)
}

// subscribe subscribes the device to the topics of the command line.
func (d *device) subscribe(ctx context.Context) error {
	for _, topic := range d.cmd.Topic {
		err := mcsclient.Subscribe(ctx, d.http, d.cmd.HTTP, d.state.Identity, d.cmd.App, d.token(), topicName(topic))
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *device) token() string { return d.state.token(d.cmd.HTTP, d.cmd.App, d.cmd.Sender) }

// printRegistration prints the result of --register-only.
func (d *device) printRegistration() error {
	if d.cmd.JSON {
		return d.out.json(struct {
			mcsclient.Identity
			Token     string `json:"token"`
			ChannelID string `json:"channel_id,omitempty"`
		}{d.state.Identity, d.token(), d.channel})
	}
	if d.channel != "" {
		return d.out.printf("%s\n", d.channel)
	}
	return d.out.printf("%s\n", d.token())
}

// introduce shows a person the token of the device.
func (d *device) introduce() error {
	if d.cmd.JSON || len(d.data) > 0 {
		return nil
	}
	flags := ""
	for _, word := range d.cmd.dataFlag.again() {
		flags += " " + card.Quote(word)
	}
	if d.channel != "" {
		return d.out.printf("Channel ID  %s\n\nSend to it:\n\n  %s send%s --via chrome %[1]s --chrome-payload text\n\n", d.channel, d.out.program, flags)
	}
	return d.out.printf("Token  %s\n\nSend to it:\n\n  %s send%s %[1]s key=value\n\n", d.token(), d.out.program, flags)
}

// connect keeps the device connected until ctx ends, or until everything is sent.
func (d *device) connect(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := &devicePrinter{out: d.out, asJSON: d.cmd.JSON, fail: cancel}
	client := mcsclient.NewDevice(d.cmd.MCS, d.state.Identity, mcsclient.DeviceOptions{
		Options: mcsclient.Options{
			TLS: d.tls, Logger: d.log, Received: d.state.Received, OnMessage: p.message,
		},
		OnConnect:    p.connected,
		OnDisconnect: p.disconnected,
	})
	var background sync.WaitGroup
	background.Go(func() { d.state.keep(ctx, client.Received, d.out) })
	sent := make(chan error, 1)
	if len(d.data) > 0 {
		background.Go(func() {
			err := d.sendAll(ctx, client, p)
			sent <- err
			cancel(err)
		})
	}
	err := client.Run(ctx)
	cancel(err)
	background.Wait()
	saved := d.state.saveReceived(client.Received())
	if !errors.Is(err, context.Canceled) {
		return errors.Join(err, saved)
	}
	select {
	case err := <-sent:
		return errors.Join(interruption(ctx), err, saved)
	default:
		return errors.Join(interruption(ctx), saved)
	}
}

// upstreamSender is the part of a device client that sendAll needs.
type upstreamSender interface {
	Send(ctx context.Context, m *mcsclient.Upstream, done func(error)) error
}

// sendAll sends the message of --send --count times. It returns when the server has
// acknowledged all.
func (d *device) sendAll(ctx context.Context, client upstreamSender, p *devicePrinter) error {
	results := make(chan error, d.cmd.Count)
	for i := 1; i <= d.cmd.Count; i++ {
		m := &mcsclient.Upstream{ID: d.cmd.id(i), To: d.cmd.Sender, Category: d.cmd.App, TTL: d.ttl()}
		if m.TTL != mcsclient.NowOrNever {
			m.PersistentID = m.ID // a repeated ID marks a repeat (CCS 3.6)
		}
		for key, value := range d.data {
			m.Data = append(m.Data, mcsclient.Pair{Key: key, Value: value})
		}
		err := d.send(ctx, client, m, func(err error) {
			p.sent(m.ID, err)
			results <- err
		})
		if err != nil {
			return fmt.Errorf("send %s: %w", m.ID, err)
		}
	}
	failed := false
	for acked := range d.cmd.Count {
		select {
		case err := <-results:
			failed = failed || err != nil
		case <-ctx.Done():
			return fmt.Errorf("interrupted: %d of %d messages are acknowledged", acked, d.cmd.Count)
		}
	}
	if failed {
		return errSilent
	}
	return nil
}

// connectPause is the wait before another attempt to send, for a message that will not wait for a
// connection in the client.
const connectPause = 20 * time.Millisecond

// send sends one message when there is a connection, including a now-or-never message.
func (d *device) send(ctx context.Context, client upstreamSender, m *mcsclient.Upstream, done func(error)) error {
	for {
		err := client.Send(ctx, m, done)
		if !errors.Is(err, mcsclient.ErrNotConnected) {
			return err
		}
		select {
		case <-time.After(connectPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ttl returns --ttl in the form of the client.
func (d *device) ttl() time.Duration {
	switch ttl := d.cmd.TTL; {
	case ttl == nil:
		return mcsclient.MaxUpstreamTTL
	case *ttl == 0:
		return mcsclient.NowOrNever
	default:
		return time.Duration(*ttl) * time.Second
	}
}
