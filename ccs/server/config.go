package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/internal/admission"
	"github.com/openccs/openccs/ccs/mcsserver"
	"github.com/openccs/openccs/ccs/xmppserver"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/store"
)

// Config is all that a server may be told. Default has the values that ccs serve starts from.
type Config struct {
	DataDir string // certificates, connection card, control socket and the embedded store
	Store   string // "disk:" for the embedded store in DataDir, "disk:DIR" for one elsewhere, "memory:" for none, or a Redis URL

	NoFirstProject bool // make no project in a store that never had one

	StoreDamage   string // "refuse", the default, or "serve": what a start does with damaged tables of the embedded store
	AllowEviction bool   // use a Redis that throws messages away when it is full
	RedisWait     string // "N" or "N:MS": replicas that must have what is acknowledged, and how long they get; "" for none
	// RememberRepeats keeps in Redis too, for ten minutes, which messages were accepted; not in a cluster.
	RememberRepeats bool
	NodeHeartbeat   time.Duration // a server on Redis that dies loses what it has claimed within twice this

	XMPPListen     string // host:port for app servers; port 0 for any (CCS 1.1)
	XMPPTestListen string // the same for the testing environment, "" for none
	MCSListen      string // host:port for devices (DEV 1)
	HTTPListen     string // host:port for check-in and registration, over TLS
	HTTPPlain      string // the same without TLS, "" for none: some clients can be pointed at it (DEV 13)

	Domain             string   // of app servers' addresses on XMPP (CCS 1.7)
	DeviceDomain       string   // of the addresses of devices that use XMPP
	MaxConns           int      // connections at a time on all listeners; 0 for what the limit of open files has room for, 100,000 at most
	MemoryBudget       int64    // bytes of messages that all connections hold; 0 for a quarter of the machine's or the cgroup's memory
	MaxConnsPerAddress string   // "N" or "N:M": connections of one address that have logged in, and that have not; "" for the defaults
	TrustedNetworks    []string // networks or addresses without limits per address, besides loopback
	ProxyProtocol      []string // networks or addresses whose connections begin with a PROXY header, version 2

	TLSCert string // certificate chain, PEM; "" for one of a development CA
	TLSKey  string // its key, PEM

	// Profile has the limits of an era, as ccs.NamedProfile returns them. The limits below that are above zero replace
	// those of the profile. The zero value is the default profile.
	Profile ccs.Profile

	Window         int           // downstream messages of a connection not yet answered, 0 for the profile's (CCS 4.1)
	UpstreamWindow int           // messages to an XMPP connection not yet acknowledged, 0 for the profile's (CCS 4.2)
	DeviceBacklog  int           // messages that may wait for a connected device, 0 for the profile's
	WindowOverrun  string        // "wait" or "nack": what a client that sends more than its window meets (CCS 4.1)
	DeviceRate     int           // downstream messages a minute to one device, 0 for the profile's (CCS 5.10)
	UpstreamRate   int           // upstream messages a minute from one device, 0 for the profile's (CCS 5.10)
	NoControlID    bool          // leave message_id out of the control message (CCS 3.7)
	SenderBacklog  int           // upstream messages that may wait for a sender, 0 for the profile's (CCS 4.3)
	DrainTimeout   time.Duration // for app servers to finish when the server ends (CCS 3.7)

	Heartbeat       time.Duration // that devices are told to keep, 0 for none: they choose (DEV 8)
	MCSKeepAlive    time.Duration // without traffic until TCP probes a device's connection, 0 for the default, NoKeepAlive for never
	NewDevices      int           // of one address that register in a day and have not connected, 0 for the default
	HTTPRate        int           // check-ins and registrations a minute from one address, 0 for the default
	CheckinSettings []string      // KEY=VALUE each, to hand out at check-in; none to leave devices what they have (DEV 2.5)

	// OpenDisk opens the embedded store of a directory; nil for diskstore.Open. Tests have it break the disk.
	OpenDisk func(dir string) (store.Store, error)

	Network Network // nil for the machine's. Tests have one in memory
	NoAdmin bool    // no socket for commands in DataDir

	Clock  ccs.Clock   // the time that messages go by; nil for the wall clock
	Logger *zap.Logger // nil for none
}

// Network makes listeners, as net.Listen does.
type Network interface {
	Listen(network, addr string) (net.Listener, error)
}

// tcp is the machine's network.
type tcp struct{}

func (tcp) Listen(network, addr string) (net.Listener, error) { return net.Listen(network, addr) }

// Default is the configuration of a server that is told nothing: reachable from this machine alone, since
// whoever finds a data directory without projects gets one made.
func Default() Config {
	return Config{
		DataDir:            "data",
		Store:              storeDisk + ":",
		StoreDamage:        damageRefuse,
		NodeHeartbeat:      5 * time.Second,
		XMPPListen:         "127.0.0.1:5235",
		MCSListen:          "127.0.0.1:5228",
		HTTPListen:         "127.0.0.1:8443",
		Domain:             "gcm.googleapis.com",
		DeviceDomain:       "device.gcm.googleapis.com",
		WindowOverrun:      overrunWait,
		DrainTimeout:       30 * time.Second,
		MaxConnsPerAddress: fmt.Sprintf("%d:%d", admission.DefaultPerAddress, admission.DefaultPendingPerAddress),

		MCSKeepAlive: mcsserver.DefaultKeepAlive,
		NewDevices:   ccs.DefaultNewDevices,
		HTTPRate:     3000,
	}
}

// What Heartbeat may be: less would keep phones awake, more than half an hour no network takes for life.
const (
	minHeartbeat = 10 * time.Second
	maxHeartbeat = 30 * time.Minute
)

// NoKeepAlive is a Config.MCSKeepAlive that has devices' connections never probed.
const NoKeepAlive time.Duration = -1

// What MCSKeepAlive may be besides: the system counts in seconds, and beyond two hours it finds nobody dead in time.
const (
	minKeepAlive = time.Second
	maxKeepAlive = 2 * time.Hour
)

// What StoreDamage may be.
const (
	damageRefuse = "refuse"
	damageServe  = "serve"
)

// What WindowOverrun may be.
const (
	overrunWait = "wait"
	overrunNack = "nack"
)

// What NodeHeartbeat may be: rare enough to cost nothing, and often enough for a device not to wait long.
const (
	minNodeHeartbeat = 100 * time.Millisecond
	maxNodeHeartbeat = time.Minute
)

// maxRate keeps the time between two messages at a microsecond and more.
const maxRate = 60_000_000

// perMinute is a rate as a bucket: a minute's worth at once.
func perMinute(n int) flowcontrol.Rate {
	if n == 0 {
		return flowcontrol.Rate{}
	}
	return flowcontrol.Rate{Every: time.Minute / time.Duration(n), Burst: n}
}

// profile is the profile with the limits that the configuration names.
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
	Flag    string // as the command line calls it, without dashes; "" if none was given
	Value   string
	Problem string
	Mend    string // what to do about it
}

func (e *ConfigError) Error() string {
	if e.Flag == "" {
		return e.Problem + "; " + e.Mend
	}
	return fmt.Sprintf("--%s %q: %s; %s", e.Flag, e.Value, e.Problem, e.Mend)
}

// Validate reports every mistake at once: the error joins a *ConfigError each.
func (c *Config) Validate() error {
	var errs []error
	bad := func(flag, value, problem, mend string) {
		errs = append(errs, &ConfigError{Flag: flag, Value: value, Problem: problem, Mend: mend})
	}
	if c.DataDir == "" {
		bad("data", "", "no data directory", "name a directory that ccs may create, such as ./data")
	}
	kind, _, err := parseStore(c.Store)
	if err != nil {
		errs = append(errs, err)
	}
	if _, _, err := parseWait(c.RedisWait); err != nil {
		bad("redis-wait", c.RedisWait, err.Error(), "write how many replicas, such as 1, or 1:500 for half a second")
	} else if c.RedisWait != "" && kind != storeRedis {
		bad("redis-wait", c.RedisWait, "the store is not in Redis", "leave it out, or use --store redis://host:port")
	}
	if c.NodeHeartbeat < minNodeHeartbeat || c.NodeHeartbeat > maxNodeHeartbeat {
		bad("node-heartbeat", c.NodeHeartbeat.String(), fmt.Sprintf("must be from %s to %s", minNodeHeartbeat, maxNodeHeartbeat), "leave it out for the default")
	}
	for _, l := range []struct {
		flag, value string
		optional    bool
	}{
		{"xmpp-listen", c.XMPPListen, false},
		{"xmpp-test-listen", c.XMPPTestListen, true},
		{"mcs-listen", c.MCSListen, false},
		{"http-listen", c.HTTPListen, false},
		{"http-plain-listen", c.HTTPPlain, true},
	} {
		if l.value == "" && l.optional {
			continue
		}
		if err := checkAddr(l.value); err != nil {
			bad(l.flag, l.value, err.Error(), "write host:port, such as 127.0.0.1:5235, or :0 for any free port")
		}
	}
	for _, d := range []struct{ flag, value, example string }{
		{"domain", c.Domain, "gcm.googleapis.com"}, {"device-domain", c.DeviceDomain, "device.gcm.googleapis.com"},
	} {
		if strings.TrimSpace(d.value) == "" || strings.ContainsAny(d.value, "@/ <>&\"'") {
			bad(d.flag, d.value, "not a domain name", "use a name such as "+d.example)
		}
	}
	if c.DeviceDomain != "" && strings.EqualFold(c.DeviceDomain, c.Domain) || xmppserver.IsLoginDomain(c.DeviceDomain) {
		bad("device-domain", c.DeviceDomain, "app servers log in with it", "use a name that is for devices alone, such as device.gcm.googleapis.com")
	}
	if err := c.checkConns(openFiles()); err != nil {
		errs = append(errs, err)
	}
	if _, _, err := parsePerAddress(c.MaxConnsPerAddress); err != nil {
		bad("max-conns-per-address", c.MaxConnsPerAddress, err.Error(), "write how many may be logged in, such as 10000, or 10000:500 for how many may not be, too")
	}
	if err := checkMemoryBudget(c.MemoryBudget); err != nil {
		bad("memory-budget", strconv.FormatInt(c.MemoryBudget, 10), err.Error(), "give at least 16MiB, or leave it out for a quarter of the memory")
	}
	for _, n := range []struct {
		flag  string
		value []string
	}{{"trusted-networks", c.TrustedNetworks}, {"proxy-protocol", c.ProxyProtocol}} {
		if _, err := parseNetworks(n.value); err != nil {
			bad(n.flag, strings.Join(n.value, ","), err.Error(), "write networks such as 10.0.0.0/8 or addresses such as 10.1.2.3, with commas between them")
		}
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		bad("tls-cert", c.TLSCert, "a certificate and its key belong together", "give both --tls-cert and --tls-key, or neither for a development certificate")
	}
	for _, f := range []struct{ flag, value string }{{"tls-cert", c.TLSCert}, {"tls-key", c.TLSKey}} {
		if f.value == "" {
			continue
		}
		if file, err := os.Open(f.value); err != nil {
			bad(f.flag, f.value, errors.Unwrap(err).Error(), "name a PEM file that ccs may read")
		} else {
			file.Close()
		}
	}
	for _, n := range []struct {
		flag  string
		value int
	}{
		{"window", c.Window}, {"upstream-window", c.UpstreamWindow},
		{"device-backlog", c.DeviceBacklog}, {"sender-backlog", c.SenderBacklog},
	} {
		if n.value < 0 {
			bad(n.flag, strconv.Itoa(n.value), "must be above zero", "leave it out for the default")
		}
	}
	if c.StoreDamage != "" && c.StoreDamage != damageRefuse && c.StoreDamage != damageServe {
		bad("store-damage", c.StoreDamage, "unknown", "use refuse or serve")
	}
	if c.WindowOverrun != overrunWait && c.WindowOverrun != overrunNack {
		bad("window-overrun", c.WindowOverrun, "unknown", "use wait or nack")
	}
	for _, r := range []struct {
		flag  string
		value int
	}{{"device-rate", c.DeviceRate}, {"upstream-rate", c.UpstreamRate}, {"http-rate", c.HTTPRate}} {
		if r.value < 0 || r.value > maxRate {
			bad(r.flag, strconv.Itoa(r.value), "not a rate", fmt.Sprintf("use 1 to %d a minute, or leave it out for the default", maxRate))
		}
	}
	if c.Heartbeat != 0 && (c.Heartbeat < minHeartbeat || c.Heartbeat > maxHeartbeat) {
		bad("heartbeat", c.Heartbeat.String(), "not an interval for heartbeats", fmt.Sprintf("use %s to %s, or leave it out", minHeartbeat, maxHeartbeat))
	}
	if c.NewDevices < 0 {
		bad("new-devices-per-address", strconv.Itoa(c.NewDevices), "must be above zero", "leave it out for the default")
	}
	if c.MCSKeepAlive != 0 && c.MCSKeepAlive != NoKeepAlive && (c.MCSKeepAlive < minKeepAlive || c.MCSKeepAlive > maxKeepAlive) {
		bad("mcs-keepalive", c.MCSKeepAlive.String(), fmt.Sprintf("must be from %s to %s, or 0 for no probes", minKeepAlive, maxKeepAlive), "leave it out for the default")
	}
	if _, err := parseSettings(c.CheckinSettings); err != nil {
		bad("checkin-settings", strings.Join(c.CheckinSettings, ","), err.Error(), "write KEY=VALUE, such as gcm_hostname=push.example.org")
	}
	if c.DrainTimeout < time.Second {
		bad("drain-timeout", c.DrainTimeout.String(), "must be at least 1s", "leave it out for the default")
	}
	return errors.Join(errs...)
}

func checkAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		var ae *net.AddrError
		if errors.As(err, &ae) {
			return errors.New(ae.Err)
		}
		return err
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("port %q is not between 0 and 65535", port)
	}
	return nil
}
