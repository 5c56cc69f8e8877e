package server

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openccs/openccs/ccs/domains"
)

// rule is one row of the table of Validate: a setting, what is wrong with its value, and advice.
// The value is good if problem is "".
type rule struct{ flag, value, problem, mend string }

// Validate reports every mistake at once. The error joins one *ConfigError for each mistake.
func (c *Config) Validate() error {
	var errs []error
	for _, r := range c.rules() {
		if r.problem != "" {
			errs = append(errs, &ConfigError{Flag: r.flag, Value: r.value, Problem: r.problem, Mend: r.mend})
		}
	}
	return errors.Join(errs...)
}

const (
	mendDefault  = "leave it out for the default"
	mendAddr     = "write host:port, such as 127.0.0.1:5235, or :0 for any free port"
	mendNetworks = "write networks such as 10.0.0.0/8 or addresses such as 10.1.2.3, with commas between them"
	mendFile     = "name a PEM file that ccs may read"
	mendPair     = "give both --tls-cert and --tls-key, or neither for a development certificate"
)

// rules returns the table, in the order in which mistakes are reported.
func (c *Config) rules() []rule {
	kind, _, storeErr := parseStore(c.Store)
	_, _, waitErr := parseWait(c.RedisWait)
	_, _, perAddressErr := parsePerAddress(c.MaxConnsPerAddress)
	_, settingsErr := parseSettings(c.CheckinSettings)
	shared := c.DeviceDomain != "" && strings.EqualFold(c.DeviceDomain, c.Domain) || domains.IsLogin(c.DeviceDomain)
	mendRate := fmt.Sprintf("use 1 to %d a minute, or leave it out for the default", maxRate)
	return []rule{
		{"data", "", when(c.DataDir == "", "no data directory"), "name a directory that ccs may create, such as ./data"},
		ruleOf(storeErr),
		{"redis-wait", c.RedisWait, text(waitErr), "write how many replicas, such as 1, or 1:500 for half a second"},
		{"redis-wait", c.RedisWait, when(waitErr == nil && c.RedisWait != "" && kind != storeRedis, "the store is not in Redis"), "leave it out, or use --store redis://host:port"},
		{"node-heartbeat", c.NodeHeartbeat.String(), outside(c.NodeHeartbeat, minNodeHeartbeat, maxNodeHeartbeat, fmt.Sprintf("must be from %s to %s", minNodeHeartbeat, maxNodeHeartbeat)), mendDefault},
		{"xmpp-listen", c.XMPPListen, badAddr(c.XMPPListen), mendAddr},
		{"xmpp-test-listen", c.XMPPTestListen, unless(c.XMPPTestListen == "", badAddr(c.XMPPTestListen)), mendAddr},
		{"mcs-listen", c.MCSListen, badAddr(c.MCSListen), mendAddr},
		{"http-listen", c.HTTPListen, badAddr(c.HTTPListen), mendAddr},
		{"http-plain-listen", c.HTTPPlain, unless(c.HTTPPlain == "", badAddr(c.HTTPPlain)), mendAddr},
		{"domain", c.Domain, badDomain(c.Domain), "use a name such as " + domains.GCM},
		{"device-domain", c.DeviceDomain, badDomain(c.DeviceDomain), "use a name such as " + domains.Devices},
		{"device-domain", c.DeviceDomain, when(shared, "app servers log in with it"), "use a name that is for devices alone, such as " + domains.Devices},
		ruleOf(c.checkConns(openFiles())),
		{"max-conns-per-address", c.MaxConnsPerAddress, text(perAddressErr), "write how many may be logged in, such as 10000, or 10000:500 for how many may not be, too"},
		{"memory-budget", strconv.FormatInt(c.MemoryBudget, 10), text(checkMemoryBudget(c.MemoryBudget)), "give at least 16MiB, or leave it out for a quarter of the memory"},
		{"trusted-networks", strings.Join(c.TrustedNetworks, ","), badNetworks(c.TrustedNetworks), mendNetworks},
		{"proxy-protocol", strings.Join(c.ProxyProtocol, ","), badNetworks(c.ProxyProtocol), mendNetworks},
		{"tls-cert", c.TLSCert, when((c.TLSCert == "") != (c.TLSKey == ""), "a certificate and its key belong together"), mendPair},
		{"tls-cert", c.TLSCert, unless(c.TLSCert == "", badFile(c.TLSCert)), mendFile},
		{"tls-key", c.TLSKey, unless(c.TLSKey == "", badFile(c.TLSKey)), mendFile},
		{"window", strconv.Itoa(c.Window), negative(c.Window), mendDefault},
		{"upstream-window", strconv.Itoa(c.UpstreamWindow), negative(c.UpstreamWindow), mendDefault},
		{"device-backlog", strconv.Itoa(c.DeviceBacklog), negative(c.DeviceBacklog), mendDefault},
		{"sender-backlog", strconv.Itoa(c.SenderBacklog), negative(c.SenderBacklog), mendDefault},
		{"store-damage", c.StoreDamage, unknown(c.StoreDamage, "", damageRefuse, damageServe), "use refuse or serve"},
		{"window-overrun", c.WindowOverrun, unknown(c.WindowOverrun, overrunWait, overrunNack), "use wait or nack"},
		{"device-rate", strconv.Itoa(c.DeviceRate), badRate(c.DeviceRate), mendRate},
		{"upstream-rate", strconv.Itoa(c.UpstreamRate), badRate(c.UpstreamRate), mendRate},
		{"http-rate", strconv.Itoa(c.HTTPRate), badRate(c.HTTPRate), mendRate},
		{"chrome-success-status", strconv.Itoa(c.ChromeSuccessStatus), unknown(c.ChromeSuccessStatus, 0, http.StatusNoContent, http.StatusOK), "use 204 or 200"},
		{"chrome-auth-status", strconv.Itoa(c.ChromeAuthStatus), unknown(c.ChromeAuthStatus, 0, http.StatusUnauthorized, http.StatusForbidden), "use 401 or 403"},
		{"heartbeat", c.Heartbeat.String(), unless(c.Heartbeat == 0, outside(c.Heartbeat, minHeartbeat, maxHeartbeat, "not an interval for heartbeats")), fmt.Sprintf("use %s to %s, or leave it out", minHeartbeat, maxHeartbeat)},
		{"new-devices-per-address", strconv.Itoa(c.NewDevices), negative(c.NewDevices), mendDefault},
		{"mcs-keepalive", c.MCSKeepAlive.String(), unless(c.MCSKeepAlive == 0 || c.MCSKeepAlive == NoKeepAlive, outside(c.MCSKeepAlive, minKeepAlive, maxKeepAlive, fmt.Sprintf("must be from %s to %s, or 0 for no probes", minKeepAlive, maxKeepAlive))), mendDefault},
		{"checkin-settings", strings.Join(c.CheckinSettings, ","), text(settingsErr), "write KEY=VALUE, such as gcm_hostname=push.example.org"},
		{"drain-timeout", c.DrainTimeout.String(), when(c.DrainTimeout < time.Second, "must be at least 1s"), mendDefault},
	}
}

// ruleOf returns the row of a check whose error is a *ConfigError, or has no flag.
func ruleOf(err error) rule {
	var bad *ConfigError
	if errors.As(err, &bad) {
		return rule{bad.Flag, bad.Value, bad.Problem, bad.Mend}
	}
	return rule{problem: text(err)}
}

// when returns the problem if it exists, else "".
func when(exists bool, problem string) string {
	if exists {
		return problem
	}
	return ""
}

// unless returns no problem for a value that turns the setting off.
func unless(off bool, problem string) string { return when(!off, problem) }

// text returns the text of an error as a problem.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func negative(n int) string { return when(n < 0, "must be above zero") }

func badRate(n int) string { return when(n < 0 || n > maxRate, "not a rate") }

func outside[T cmp.Ordered](v, low, high T, problem string) string {
	return when(v < low || v > high, problem)
}

func unknown[T comparable](v T, known ...T) string {
	return when(!slices.Contains(known, v), "unknown")
}

func badDomain(name string) string {
	return when(strings.TrimSpace(name) == "" || strings.ContainsAny(name, "@/ <>&\"'"), "not a domain name")
}

func badNetworks(list []string) string {
	_, err := parseNetworks(list)
	return text(err)
}

func badFile(name string) string {
	file, err := os.Open(name)
	if err != nil {
		return errors.Unwrap(err).Error()
	}
	file.Close()
	return ""
}

func badAddr(addr string) string {
	_, port, err := net.SplitHostPort(addr)
	var bad *net.AddrError
	switch {
	case errors.As(err, &bad):
		return bad.Err
	case err != nil:
		return err.Error()
	}
	n, err := strconv.Atoi(port)
	return when(err != nil || n < 0 || n > 65535, fmt.Sprintf("port %q is not between 0 and 65535", port))
}
