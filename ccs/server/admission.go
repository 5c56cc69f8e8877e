package server

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs/internal/admission"
	"github.com/openccs/openccs/store/redisstore"
)

// Limits for the files that the process opens besides connections.
const (
	maxOpenFiles = 1 << 30 // a limit above this counts as none
	// processFiles counts standard streams, the poller, listeners with a refused connection each,
	// the control socket with its connections, certificates and name lookups.
	processFiles   = 48
	engineFiles    = 24  // logs, manifest, directories and output of compactions, besides tables
	minStoreFiles  = 74  // minimum of tables that the engine keeps open
	maxStoreFiles  = 500 // more tables than gigabytes in the store
	storeFileShare = 4   // tables may take one in this many of all files
	redisConns     = 32  // the pool and the subscription of one Redis
	clusterConns   = 256 // the same for a cluster of a dozen
	minConns       = 16  // the server cannot work with fewer connections
)

// files divides the open-file limit of the process between the store, connections and the rest.
type files struct {
	limit int // 0 if there is none
	store int // tables of the embedded store
	kept  int // for everything but connections
}

// shareFiles divides the open-file limit of a process with the store of storeURL.
func shareFiles(limit int, storeURL string) files {
	f := files{limit: limit, store: maxStoreFiles, kept: processFiles}
	if limit > 0 {
		f.store = min(max(limit/storeFileShare, minStoreFiles), maxStoreFiles)
	}
	kind, _, _ := parseStore(storeURL)
	switch {
	case kind == storeDisk:
		f.kept += f.store + engineFiles
	case kind == storeRedis && redisstore.IsCluster(storeURL):
		f.kept += clusterConns
	case kind == storeRedis:
		f.kept += redisConns
	}
	return f
}

// conns returns the number of connections that fit within the limit.
func (f files) conns() int {
	if f.limit == 0 {
		return maxOpenFiles
	}
	return f.limit - f.kept
}

// checkConns returns an error if the process may not open enough files for MaxConns.
func (c *Config) checkConns(limit int) error {
	f := shareFiles(limit, c.Store)
	bad := func(value int, problem, mend string) error {
		return &ConfigError{Flag: "max-conns", Value: strconv.Itoa(value), Problem: problem, Mend: mend}
	}
	switch {
	case c.MaxConns < 0:
		return bad(c.MaxConns, "must be above zero", "leave it out for as many as the process may have open files for")
	case limit == 0:
		return nil
	}
	want := max(c.MaxConns, minConns)
	if want <= f.conns() {
		return nil
	}
	problem := fmt.Sprintf("the process may open %d files and needs %d of them for other things", limit, f.kept)
	if c.MaxConns == 0 {
		return &ConfigError{Problem: problem + " than connections",
			Mend: fmt.Sprintf("raise the limit to %d at least, with ulimit -n or LimitNOFILE= of systemd", filesFor(want, c.Store))}
	}
	mend := fmt.Sprintf("raise the limit to %d, with ulimit -n or LimitNOFILE= of systemd", filesFor(want, c.Store))
	if f.conns() >= minConns {
		mend += fmt.Sprintf(", or use at most %d", f.conns())
	}
	return bad(c.MaxConns, problem, mend)
}

// filesFor returns roughly the smallest limit that has room for conns connections.
func filesFor(conns int, storeURL string) int {
	limit := conns
	for f := shareFiles(limit, storeURL); f.conns() < conns; f = shareFiles(limit, storeURL) {
		limit += conns - f.conns()
	}
	return limit
}

// makeGate makes the gate of all listeners and logs how many connections it admits.
func (s *Server) makeGate() *admission.Gate {
	f := shareFiles(openFiles(), s.conf.Store)
	o := admission.Options{Logger: s.conf.Logger, MaxConns: s.conf.MaxConns}
	if o.MaxConns == 0 {
		o.MaxConns = min(f.conns(), admission.DefaultMaxConns)
	}
	// Validate has checked these.
	o.PerAddress, o.PendingPerAddress, _ = parsePerAddress(s.conf.MaxConnsPerAddress)
	o.Trusted, _ = parseNetworks(s.conf.TrustedNetworks)
	o.Proxies, _ = parseNetworks(s.conf.ProxyProtocol)
	g := admission.New(o)
	conns, perAddress, pending := g.Limits()
	s.log.Info("connections are limited", zap.Int("connections", conns), zap.Int("per_address", perAddress),
		zap.Int("per_address_pending", pending), zap.Int("open_files", f.limit), zap.Int("reserved_files", f.kept))
	return g
}

// parsePerAddress parses N or N:M: how many connections of an address may be logged in, and how
// many may not be. It returns 0 for a missing number.
func parsePerAddress(s string) (loggedIn, pending int, err error) {
	if s == "" {
		return 0, 0, nil
	}
	in, out, two := strings.Cut(s, ":")
	if loggedIn, err = strconv.Atoi(in); err != nil || loggedIn <= 0 {
		return 0, 0, errors.New("not a number of connections")
	}
	if !two {
		return loggedIn, 0, nil
	}
	if pending, err = strconv.Atoi(out); err != nil || pending <= 0 {
		return 0, 0, errors.New("not a number of connections behind the colon")
	}
	return loggedIn, pending, nil
}

// parseNetworks parses networks. It takes a single address as a network of one address.
func parseNetworks(list []string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, text := range list {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, err := netip.ParseAddr(text)
			if err != nil || a.Zone() != "" {
				return nil, fmt.Errorf("%q is no network", text)
			}
			a = a.Unmap()
			p = netip.PrefixFrom(a, a.BitLen())
		}
		networks = append(networks, p.Masked())
	}
	return networks, nil
}
