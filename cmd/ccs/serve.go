package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/alecthomas/kong"
	"go.uber.org/zap"

	core "github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/card"
	"github.com/openccs/openccs/ccs/card/atomicfile"
	"github.com/openccs/openccs/ccs/server"
	"github.com/openccs/openccs/store"
)

type serveCmd struct {
	dataFlag
	Store string `default:"${store}" placeholder:"URL" help:"URL of the message store: disk: in the data directory, disk:DIR in another directory, memory: without a disk, lost when the server ends, or redis://HOST:PORT, which several servers may share."`

	NoFirstProject bool `help:"No first project with a sender ID and an API key in an empty store. Default: one is made, once."`

	StoreDamage     string        `default:"${store_damage}" enum:"refuse,serve" placeholder:"ACTION" help:"Start with damaged tables in the embedded store: refuse, or serve the undamaged rest."`
	AllowEviction   bool          `help:"Permission for a Redis that evicts messages when it is full. Default: such a Redis is refused."`
	RedisWait       string        `placeholder:"N[:MS]" help:"Number of Redis replicas that must have a message before it is acknowledged, and the time limit in milliseconds. Default: none."`
	RememberRepeats bool          `help:"Duplicate detection in Redis for messages accepted in the last ten minutes: a message that an app server sends again after the end of a server is not delivered again. Not for Redis Cluster. Default: in the embedded store only."`
	EmulateImports  bool          `help:"Registration tokens for imported APNs tokens, to which no message is delivered. Default: each token of an import fails."`
	NodeHeartbeat   time.Duration `default:"${node_heartbeat}" placeholder:"TIME" help:"Heartbeat interval between nodes on one Redis, as a duration such as 5s. The messages of a dead node go to the others within twice this time."`

	XMPPListen      string `name:"xmpp-listen" default:"${xmpp_listen}" placeholder:"HOST:PORT" help:"Listen address for app servers (XMPP); port 0 takes a free one."`
	XMPPTestListen  string `name:"xmpp-test-listen" placeholder:"HOST:PORT" help:"Listen address for app servers under test (XMPP); Google used port 5236. Default: off."`
	MCSListen       string `name:"mcs-listen" default:"${mcs_listen}" placeholder:"HOST:PORT" help:"Listen address for devices (MCS)."`
	HTTPListen      string `name:"http-listen" default:"${http_listen}" placeholder:"HOST:PORT" help:"Listen address for app servers, check-in and registration over HTTPS."`
	HTTPPlainListen string `name:"http-plain-listen" placeholder:"HOST:PORT" help:"Listen address for HTTP without TLS, for a proxy that terminates TLS. Default: off."`

	MemoryBudget byteSize `placeholder:"SIZE" help:"Memory limit for messages in flight on all connections, in bytes or such as 512MiB. Default: a quarter of the machine's memory, or of the cgroup's limit."`

	MaxConns           *int     `placeholder:"N" help:"Maximum number of connections on all listeners. Default: as many as the limit of open files has room for, 100000 at most."`
	MaxConnsPerAddress string   `default:"${max_conns_per_address}" placeholder:"N[:M]" help:"Maximum number of connections of one address: N that have logged in, and M that have not. M is at most a quarter of --max-conns."`
	TrustedNetworks    []string `placeholder:"NETWORK" help:"Networks or addresses without limits per address, separated by commas. Default: only this machine."`
	ProxyProtocol      []string `placeholder:"NETWORK" help:"Networks or addresses of load balancers, separated by commas. Their connections must begin with a PROXY protocol header, version 2, with the address of the client. Default: none."`

	Domain       string `default:"${domain}" placeholder:"NAME" help:"Domain of the XMPP addresses of app servers."`
	DeviceDomain string `default:"${device_domain}" placeholder:"NAME" help:"Domain of the XMPP addresses of devices."`
	TLSCert      string `name:"tls-cert" placeholder:"FILE" help:"PEM file with the TLS certificate chain. Default: one of a development CA, made at the first start."`
	TLSKey       string `name:"tls-key" placeholder:"FILE" help:"PEM file with the key of --tls-cert. Default: the key of the development certificate."`

	Profile        string        `default:"default" enum:"default,gcm-2013,gcm-2015,fcm-2019" placeholder:"ERA" help:"Protocol limits and spellings of an era: default, for clients of all eras, gcm-2013, gcm-2015 or fcm-2019. The next flags change one limit each."`
	Window         *int          `placeholder:"N" help:"Maximum number of unanswered messages from one app server connection. Default: the profile's, 1000 or 100."`
	UpstreamWindow *int          `placeholder:"N" help:"Maximum number of unacknowledged messages to one XMPP connection. Default: the profile's, 1000 or 100."`
	WindowOverrun  string        `default:"${window_overrun}" placeholder:"WHAT" help:"Reaction to messages beyond the window of a connection: wait until there is room, or nack, for tests of app servers."`
	DeviceRate     int           `placeholder:"N" help:"Maximum rate of messages to one device, in messages a minute. Default: the profile's, no limit or 240."`
	UpstreamRate   int           `placeholder:"N" help:"Maximum rate of messages from one device, in messages a minute. Default: the profile's, no limit or 1000."`
	DeviceBacklog  int           `default:"${device_backlog}" placeholder:"N" help:"Maximum number of messages that wait for a connected device."`
	SenderBacklog  *int          `placeholder:"N" help:"Maximum number of messages that wait for the app servers of a sender. One device may have a hundredth of them, or 100. Default: the profile's, 100000 or 100."`
	NoControlID    bool          `name:"no-control-message-id" help:"CONNECTION_DRAINING without a message_id, as Google sent it. Default: with a message_id."`
	DrainTimeout   time.Duration `default:"${drain_timeout}" placeholder:"TIME" help:"Time for app servers to finish when the server ends, as a duration such as 30s."`

	Heartbeat       time.Duration `placeholder:"TIME" help:"Heartbeat interval for idle devices, as a duration from 10s to 30m. Default: each device chooses."`
	MCSKeepAlive    time.Duration `name:"mcs-keepalive" default:"${mcs_keepalive}" placeholder:"TIME" help:"Idle time of a device connection before TCP keep-alive probes, as a duration from 1s to 2h; 0 for no probes."`
	NewDevices      int           `name:"new-devices-per-address" default:"${new_devices}" placeholder:"N" help:"Maximum number of devices of one address that register in a day without connecting. A device that has not connected is forgotten after a day. This machine has no limit."`
	HTTPRate        int           `name:"http-rate" default:"${http_rate}" placeholder:"N" help:"Maximum rate of check-ins and registrations from one address, in requests a minute. This machine has no limit."`
	ChromeSuccess   int           `name:"chrome-success-status" default:"204" placeholder:"CODE" help:"HTTP status for an accepted message of GCM for Chrome: 204 or 200."`
	ChromeAuth      int           `name:"chrome-auth-status" default:"401" placeholder:"CODE" help:"HTTP status for a bad access token of GCM for Chrome: 401 or 403."`
	CheckinSettings []string      `placeholder:"KEY=VALUE" help:"Settings for devices at check-in, such as gcm_hostname and gcm_registration_url, which replace the settings on the device. Default: none."`

	ReadyFile string `placeholder:"FILE" help:"JSON file for the addresses of the server, written when all listeners accept. Default: none."`
	LogLevel  string `default:"info" enum:"debug,info,warn,error" placeholder:"LEVEL" help:"Minimum log level: debug, info, warn or error."`
	LogFormat string `default:"auto" enum:"auto,console,json" placeholder:"FORMAT" help:"Log format: console, json or auto. auto is console on a terminal, else json."`
}

// serveDefaults returns the defaults of the server, for the tags above.
func serveDefaults() kong.Vars {
	d := server.Default()
	return kong.Vars{
		"data":                  defaultData,
		"store":                 d.Store,
		"store_damage":          d.StoreDamage,
		"node_heartbeat":        d.NodeHeartbeat.String(),
		"xmpp_listen":           d.XMPPListen,
		"mcs_listen":            d.MCSListen,
		"http_listen":           d.HTTPListen,
		"max_conns_per_address": d.MaxConnsPerAddress,

		"domain":         d.Domain,
		"device_domain":  d.DeviceDomain,
		"window_overrun": d.WindowOverrun,
		"device_backlog": strconv.Itoa(core.DefaultDeviceBacklog),
		"drain_timeout":  d.DrainTimeout.String(),
		"mcs_keepalive":  d.MCSKeepAlive.String(),
		"new_devices":    strconv.Itoa(d.NewDevices),
		"http_rate":      strconv.Itoa(d.HTTPRate),
	}
}

// Help returns the long help with examples.
func (serveCmd) Help() string {
	return `The first start makes a development CA, a server certificate, and, in an empty store, a project with a
sender ID and an API key; later starts use them again. The connection card on stdout says where the server
listens and what to try next. It shows the key at the first start and on a terminal only: card.json in the data
directory has it. SIGTERM and Ctrl-C let app servers finish and then end the server; a second one ends it at once.
SIGHUP is ignored, and so is a closed standard output.

Examples:

    ccs serve
    ccs serve --data /srv/ccs --xmpp-listen :5235 --mcs-listen :5228 --http-listen :443
    ccs serve --tls-cert push.pem --tls-key push-key.pem
    ccs serve --store redis://redis.example.com:6379 --redis-wait 1
    ccs serve --store memory: --xmpp-listen 127.0.0.1:0 --ready-file ready.json
`
}

// Run starts the server. It returns after ctx ends or the server fails.
func (c *serveCmd) Run(ctx context.Context, out *output) (err error) {
	log, err := newLogger(out, c.LogLevel, c.LogFormat)
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }() // a terminal cannot be synced
	defer outliveTerminal(log)()

	conf := c.config()
	conf.Logger, conf.OpenDisk = log, openDisk
	if err := errors.Join(c.checkZeros(), conf.Validate()); err != nil {
		return &usageError{err: err, hint: "ccs serve --help shows the defaults"}
	}
	if err := c.removeStaleReadyFile(); err != nil {
		return err
	}
	server.TuneGC()
	s, err := server.Start(ctx, conf)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.removeReadyFile()) }()
	if err := c.announce(out, log, s.Card()); err != nil {
		return errors.Join(err, s.Shutdown(context.WithoutCancel(ctx)))
	}

	ended := make(chan error, 1)
	go func() { ended <- s.Wait() }()
	select {
	case err := <-ended:
		late := time.AfterFunc(failedEnd, func() {
			log.Error("the failed server does not end, exiting", zap.Duration("limit", failedEnd))
			c.removeReadyFile()
			os.Exit(exitFailed)
		})
		defer late.Stop()
		c.DrainTimeout = min(c.DrainTimeout, failedDrain)
		if end := c.end(context.WithoutCancel(ctx), s); end != nil && !errors.Is(end, err) {
			err = errors.Join(err, end)
		}
		return err
	case <-ctx.Done():
	}
	return c.end(context.WithoutCancel(ctx), s)
}

// failedDrain limits the draining of a server after a part of it, such as the store, has failed.
const failedDrain = 5 * time.Second

// Tests change these: the total time for a failed server to end, and the embedded store.
var (
	failedEnd = 30 * time.Second
	openDisk  func(dir string) (store.Store, error)
)

// end drains the app servers, then stops the server.
func (c *serveCmd) end(ctx context.Context, s *server.Server) error {
	drain, cancel := context.WithTimeout(ctx, c.DrainTimeout)
	defer cancel()
	err := s.Drain(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil // Shutdown closes the rest; the store keeps unacknowledged messages
	}
	return errors.Join(err, s.Shutdown(ctx))
}

// checkZeros refuses a zero if server.Config would take it as its default.
func (c *serveCmd) checkZeros() error {
	var errs []error
	for _, n := range []struct {
		flag, mend string
		zero       bool
	}{
		{"window", "leave it out for the profile's", c.Window != nil && *c.Window == 0},
		{"upstream-window", "leave it out for the profile's", c.UpstreamWindow != nil && *c.UpstreamWindow == 0},
		{"sender-backlog", "leave it out for the profile's", c.SenderBacklog != nil && *c.SenderBacklog == 0},
		{"device-backlog", "leave it out for the default", c.DeviceBacklog == 0},
		{"max-conns", "leave it out for as many as the process may have open files for", c.MaxConns != nil && *c.MaxConns == 0},
		{"new-devices-per-address", "leave it out for the default; --trusted-networks has no limit", c.NewDevices == 0},
		{"http-rate", "leave it out for the default; --trusted-networks has no limit", c.HTTPRate == 0},
	} {
		if n.zero {
			errs = append(errs, &server.ConfigError{Flag: n.flag, Value: "0", Problem: "must be above zero", Mend: n.mend})
		}
	}
	return errors.Join(errs...)
}

// orZero returns the value of a flag, or 0 if it was not given.
func orZero(flag *int) int {
	if flag == nil {
		return 0
	}
	return *flag
}

func (c *serveCmd) config() server.Config {
	keepAlive := c.MCSKeepAlive
	profile, _ := core.NamedProfile(c.Profile) // kong has checked the name
	if keepAlive == 0 {
		keepAlive = server.NoKeepAlive
	}
	return server.Config{
		DataDir:         c.Data,
		Store:           c.Store,
		NoFirstProject:  c.NoFirstProject,
		StoreDamage:     c.StoreDamage,
		AllowEviction:   c.AllowEviction,
		RedisWait:       c.RedisWait,
		RememberRepeats: c.RememberRepeats,
		EmulateImports:  c.EmulateImports,
		NodeHeartbeat:   c.NodeHeartbeat,
		XMPPListen:      c.XMPPListen,
		XMPPTestListen:  c.XMPPTestListen,
		MCSListen:       c.MCSListen,
		HTTPListen:      c.HTTPListen,
		HTTPPlain:       c.HTTPPlainListen,
		MaxConns:        orZero(c.MaxConns),
		MemoryBudget:    int64(c.MemoryBudget),
		Domain:          c.Domain,
		DeviceDomain:    c.DeviceDomain,
		TLSCert:         c.TLSCert,
		TLSKey:          c.TLSKey,
		Profile:         profile,
		Window:          orZero(c.Window),
		UpstreamWindow:  orZero(c.UpstreamWindow),
		WindowOverrun:   c.WindowOverrun,
		DeviceRate:      c.DeviceRate,
		UpstreamRate:    c.UpstreamRate,
		NoControlID:     c.NoControlID,
		DeviceBacklog:   c.DeviceBacklog,
		SenderBacklog:   orZero(c.SenderBacklog),
		DrainTimeout:    c.DrainTimeout,

		MaxConnsPerAddress: c.MaxConnsPerAddress,
		TrustedNetworks:    c.TrustedNetworks,
		ProxyProtocol:      c.ProxyProtocol,

		Heartbeat:    c.Heartbeat,
		MCSKeepAlive: keepAlive,
		NewDevices:   c.NewDevices,
		HTTPRate:     c.HTTPRate,

		ChromeSuccessStatus: c.ChromeSuccess,
		ChromeAuthStatus:    c.ChromeAuth,
		CheckinSettings:     c.CheckinSettings,
	}
}

// announce prints the card and writes the ready file when the server accepts.
func (c *serveCmd) announce(out *output, log *zap.Logger, s *card.Card) error {
	if err := s.Render(out, card.RenderOptions{
		Program: out.program, Flags: c.again(), Path: card.Path(c.Data), ShowKey: isTerminal(out.stdout),
	}); err != nil {
		log.Warn("connection card not printed", zap.String("file", card.Path(c.Data)), zap.Error(err))
	}
	if c.ReadyFile == "" {
		return nil
	}
	b, err := json.Marshal(ready{XMPP: s.XMPP, XMPPTest: s.XMPPTest, MCS: s.MCS, HTTP: s.HTTP, CAFile: s.CAFile, PID: s.PID})
	if err != nil {
		return err
	}
	if err := atomicfile.Write(c.ReadyFile, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("--ready-file %s: %w", c.ReadyFile, err)
	}
	return nil
}

// ready is the content of the ready file. It is part of the contract with scripts.
type ready struct {
	XMPP     string `json:"xmpp"`
	XMPPTest string `json:"xmpp_test"`
	MCS      string `json:"mcs"`
	HTTP     string `json:"http"`
	CAFile   string `json:"ca_file"`
	PID      int    `json:"pid"`
}

// removeStaleReadyFile removes the ready file of a killed server, because a script that waits for
// the file must not find the old one. It keeps the file of a running server, because this server
// will not start beside that one. It refuses a file that no server wrote, and a path that ccs
// cannot write to.
func (c *serveCmd) removeStaleReadyFile() error {
	if c.ReadyFile == "" {
		return nil
	}
	if err := checkWritable(c.ReadyFile); err != nil {
		return fmt.Errorf("--ready-file: %w", err)
	}
	b, err := os.ReadFile(c.ReadyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("--ready-file: %w", err)
	case len(b) == 0: // an empty file was made for this
		return c.remove()
	}
	var old ready
	switch err := json.Unmarshal(b, &old); {
	case err != nil || old.PID <= 0:
		return &usageError{
			err:  fmt.Errorf("--ready-file %s: there is a file that no server has written", c.ReadyFile),
			hint: "name another file, or remove it: it would be replaced, and removed in the end",
		}
	case old.PID != os.Getpid() && processExists(old.PID):
		return nil
	}
	return c.remove()
}

// removeReadyFile removes the outdated ready file, unless another server has written it since.
func (c *serveCmd) removeReadyFile() error {
	if c.ReadyFile == "" {
		return nil
	}
	var current ready
	if b, err := os.ReadFile(c.ReadyFile); err == nil && json.Unmarshal(b, &current) == nil && current.PID != os.Getpid() {
		return nil
	}
	return c.remove()
}

func (c *serveCmd) remove() error {
	if err := os.Remove(c.ReadyFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--ready-file: %w", err)
	}
	return nil
}
