package server

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/domains"
	"github.com/openccs/openccs/ccs/internal/admission"
	"github.com/openccs/openccs/ccs/mcsserver"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/store"
)

// Config is the configuration of a server. Default has the default values of ccs serve.
type Config struct {
	DataDir string // certificates, connection card, control socket and the embedded store
	// Store is "disk:" for the embedded store in DataDir, "disk:DIR" for the embedded store in DIR,
	// "memory:" for no store, or a Redis URL.
	Store string

	NoFirstProject bool // make no project in a store that never had one

	// StoreDamage says how a start treats damaged tables of the embedded store: "refuse", the
	// default, or "serve".
	StoreDamage   string
	AllowEviction bool // use a Redis that evicts messages when full
	// RedisWait is "N" or "N:MS": how many replicas must have acknowledged messages, and the time
	// limit in milliseconds. "" waits for no replica.
	RedisWait string
	// RememberRepeats makes Redis remember accepted messages too, for ten minutes. A cluster
	// cannot.
	RememberRepeats bool
	// EmulateImports makes an import of APNs tokens return registration tokens, to which no message
	// is delivered. By default each token of an import fails, because there is no APNs (TOPICS 5).
	EmulateImports bool
	// NodeHeartbeat is the heartbeat of a server on Redis. A server that dies loses its claims
	// within twice this.
	NodeHeartbeat time.Duration

	XMPPListen     string // host:port for app servers; port 0 for any (CCS 1.1)
	XMPPTestListen string // the same for the testing environment, "" for none
	MCSListen      string // host:port for devices (DEV 1)
	HTTPListen     string // host:port for check-in and registration, over TLS
	// HTTPPlain is HTTPListen without TLS, "" for none. Some clients can use it (DEV 13).
	HTTPPlain string

	Domain       string // domain of the XMPP addresses of app servers (CCS 1.7)
	DeviceDomain string // domain of the addresses of devices that use XMPP
	// MaxConns limits the connections on all listeners together. 0 means as many as the limit of
	// open files allows, at most 100,000.
	MaxConns int
	// MemoryBudget limits the messages of all connections together, in bytes. 0 means a quarter of
	// the memory of the machine or the cgroup.
	MemoryBudget int64
	// MaxConnsPerAddress is "N" or "N:M": connections of one address that have logged in, and
	// connections that have not. "" means the defaults.
	MaxConnsPerAddress string
	TrustedNetworks    []string // networks or addresses without limits per address, besides loopback
	// ProxyProtocol lists networks or addresses whose connections begin with a PROXY header,
	// version 2.
	ProxyProtocol []string

	TLSCert string // certificate chain, PEM; "" for one of a development CA
	TLSKey  string // its key, PEM

	// Profile has the limits of an era, as ccs.NamedProfile returns them. Limits below that are
	// above zero replace those of the profile. The zero value is the default profile.
	Profile ccs.Profile

	// Window limits the unanswered downstream messages of a connection. 0 means the limit of the
	// profile (CCS 4.1).
	Window int
	// UpstreamWindow limits the unacknowledged messages to an XMPP connection. 0 means the limit of
	// the profile (CCS 4.2).
	UpstreamWindow int
	DeviceBacklog  int // messages that may wait for a connected device, 0 for the profile's
	// WindowOverrun says how the server treats a client that exceeds its window: "wait" or "nack"
	// (CCS 4.1).
	WindowOverrun string
	DeviceRate    int  // downstream messages a minute to one device, 0 for the profile's (CCS 5.10)
	UpstreamRate  int  // upstream messages a minute from one device, 0 for the profile's (CCS 5.10)
	NoControlID   bool // leave message_id out of the control message (CCS 3.7)
	// SenderBacklog limits the upstream messages that wait for a sender. 0 means the limit of the
	// profile (CCS 4.3).
	SenderBacklog int
	DrainTimeout  time.Duration // time for app servers to finish when the server ends (CCS 3.7)

	// Heartbeat is the interval that the server asks devices to keep. 0 means that they choose
	// (DEV 8).
	Heartbeat time.Duration
	// MCSKeepAlive is the idle time after which TCP probes the connection of a device. 0 means the
	// default, NoKeepAlive means never.
	MCSKeepAlive time.Duration
	// NewDevices limits the devices of one address that register in a day and have not connected.
	// 0 means the default.
	NewDevices int
	HTTPRate   int // check-ins and registrations a minute from one address, 0 for the default
	// ChromeSuccessStatus is the status of an accepted message of GCM for Chrome, 204 or 200. 0
	// means the default (CCS 7.2).
	ChromeSuccessStatus int
	// ChromeAuthStatus is the status for a bad access token there, 401 or 403. 0 means the default
	// (CCS 7.4).
	ChromeAuthStatus int
	// CheckinSettings are KEY=VALUE pairs for the answer to a check-in. With none, devices keep
	// their settings (DEV 2.5).
	CheckinSettings []string

	// OpenDisk opens the embedded store of a directory; nil for diskstore.Open. Tests use it to
	// break the disk.
	OpenDisk func(dir string) (store.Store, error)

	// Audit is called by Shutdown when connections, router and cluster have stopped, before the
	// store closes; nil for none. Shutdown returns its error. Tests use it to count messages.
	Audit func(*ccs.Tally, store.Store) error

	Network Network // nil for the network of the machine; tests use one in memory
	NoAdmin bool    // make no control socket in DataDir

	Clock    ccs.Clock    // the clock for messages; nil for the wall clock
	Observer ccs.Observer // is told what happens to messages and sessions; nil for none
	Logger   *zap.Logger  // nil for none
}

// Network makes listeners, as net.Listen does.
type Network interface {
	Listen(network, addr string) (net.Listener, error)
}

// tcp is the network of the machine.
type tcp struct{}

func (tcp) Listen(network, addr string) (net.Listener, error) { return net.Listen(network, addr) }

// Default returns the default configuration. Only this machine can reach such a server, because
// a start on a data directory without projects makes one.
func Default() Config {
	return Config{
		DataDir:            "data",
		Store:              storeDisk + ":",
		StoreDamage:        damageRefuse,
		NodeHeartbeat:      5 * time.Second,
		XMPPListen:         "127.0.0.1:5235",
		MCSListen:          "127.0.0.1:5228",
		HTTPListen:         "127.0.0.1:8443",
		Domain:             domains.GCM,
		DeviceDomain:       domains.Devices,
		WindowOverrun:      overrunWait,
		DrainTimeout:       30 * time.Second,
		MaxConnsPerAddress: fmt.Sprintf("%d:%d", admission.DefaultPerAddress, admission.DefaultPendingPerAddress),

		MCSKeepAlive: mcsserver.DefaultKeepAlive,
		NewDevices:   ccs.DefaultNewDevices,
		HTTPRate:     3000,

		ChromeSuccessStatus: http.StatusNoContent,
		ChromeAuthStatus:    http.StatusUnauthorized,
	}
}

// Limits of Heartbeat. Less would keep phones awake. No network keeps a connection that is idle for
// more than half an hour.
const (
	minHeartbeat = 10 * time.Second
	maxHeartbeat = 30 * time.Minute
)

// NoKeepAlive is the Config.MCSKeepAlive that turns probes of device connections off.
const NoKeepAlive time.Duration = -1

// Limits of MCSKeepAlive for other values. The system counts in seconds. Above two hours it does
// not find a dead connection in time.
const (
	minKeepAlive = time.Second
	maxKeepAlive = 2 * time.Hour
)

// Values of StoreDamage.
const (
	damageRefuse = "refuse"
	damageServe  = "serve"
)

// Values of WindowOverrun.
const (
	overrunWait = "wait"
	overrunNack = "nack"
)

// Limits of NodeHeartbeat. A heartbeat must be rare enough to cost nothing, and frequent enough
// that a device does not wait long.
const (
	minNodeHeartbeat = 100 * time.Millisecond
	maxNodeHeartbeat = time.Minute
)

// maxRate is the rate at which the time between two messages is one microsecond.
const maxRate = 60_000_000

// perMinute returns n a minute as the rate of a bucket. Its burst is n.
func perMinute(n int) flowcontrol.Rate {
	if n == 0 {
		return flowcontrol.Rate{}
	}
	return flowcontrol.Rate{Every: time.Minute / time.Duration(n), Burst: n}
}

// profile returns the profile with the limits that the configuration sets.
func (c *Config) profile() ccs.Profile {
	p := c.Profile
	for _, n := range []struct {
		limit *int
		named int
	}{
		{&p.Window, c.Window}, {&p.UpstreamWindow, c.UpstreamWindow},
		{&p.DeviceBacklog, c.DeviceBacklog}, {&p.SenderBacklog, c.SenderBacklog},
	} {
		if n.named > 0 {
			*n.limit = n.named
		}
	}
	if c.DeviceRate > 0 {
		p.DeviceRate = perMinute(c.DeviceRate)
	}
	if c.UpstreamRate > 0 {
		p.UpstreamRate = perMinute(c.UpstreamRate)
	}
	return p
}

// ConfigError is one mistake in a Config.
type ConfigError struct {
	Flag    string // name on the command line, without dashes; "" if none was given
	Value   string
	Problem string
	Mend    string // advice for the operator
}

func (e *ConfigError) Error() string {
	if e.Flag == "" {
		return e.Problem + "; " + e.Mend
	}
	return fmt.Sprintf("--%s %q: %s; %s", e.Flag, e.Value, e.Problem, e.Mend)
}
