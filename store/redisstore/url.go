package redisstore

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// kind is the kind of a deployment of Redis: how many servers share the data, and how to find them.
type kind int

const (
	single kind = iota
	sentinel
	cluster
)

// scheme describes the URLs that begin with a scheme.
type scheme struct {
	kind  kind
	tls   bool
	port  string // default port
	form  string // form of such a URL
	query []string
}

var schemes = map[string]scheme{
	"redis":          {single, false, "6379", "redis://[user:password@]host:port[/db][?prefix=ccs:]", []string{"prefix"}},
	"rediss":         {single, true, "6379", "rediss://[user:password@]host:port[/db][?prefix=ccs:&ca=FILE]", []string{"prefix", "ca"}},
	"redis-sentinel": {sentinel, false, "26379", "redis-sentinel://[user:password@]host:port,host:port/master-name[/db][?prefix=ccs:&tls=true&ca=FILE&sentinel_user=USER&sentinel_password=PASSWORD]", []string{"prefix", "tls", "ca", "sentinel_user", "sentinel_password"}},
	"redis-cluster":  {cluster, false, "6379", "redis-cluster://[user:password@]host:port,host:port[?prefix=ccs:]", []string{"prefix"}},
	"rediss-cluster": {cluster, true, "6379", "rediss-cluster://[user:password@]host:port,host:port[?prefix=ccs:&ca=FILE]", []string{"prefix", "ca"}},
}

// IsURL reports whether a store URL is for this store, valid or not.
func IsURL(s string) bool {
	name, _, _ := strings.Cut(s, ":")
	_, known := schemes[name]
	return known
}

// IsCluster reports whether a store URL is that of a cluster.
func IsCluster(s string) bool {
	name, _, _ := strings.Cut(s, ":")
	return schemes[name].kind == cluster
}

// URLError describes a mistake in a URL. It does not repeat the URL, which may contain a password.
type URLError struct {
	Problem string
	Mend    string // the correct text
}

func (e *URLError) Error() string { return e.Problem + "; " + e.Mend }

// Check looks for mistakes in a URL, and in the file of its CA, without a connection. It returns a
// *URLError.
func Check(url string) error {
	_, err := parse(url)
	return err
}

// location is a parsed URL.
type location struct {
	scheme
	name           string // of the scheme
	user, password string
	addrs          []string
	master         string // name of the primary that the sentinels watch
	db             int
	prefix         string
	ca             string

	sentinelUser, sentinelPassword string
	tlsConfig                      *tls.Config // nil without TLS
}

const (
	defaultPrefix = "ccs:"
	maxPrefix     = 64
	redacted      = "xxxxx" // as in net/url
)

// parse parses a URL. Package net/url allows only one host, so the hosts are cut out before.
func parse(s string) (*location, error) {
	name, rest, ok := strings.Cut(s, "://")
	kinds, known := schemes[name]
	if !ok || !known {
		return nil, &URLError{"not a Redis URL", "write " + schemes["redis"].form}
	}
	l := &location{scheme: kinds, name: name}
	bad := func(format string, args ...any) (*location, error) {
		return nil, &URLError{fmt.Sprintf(format, args...), "write " + l.form}
	}
	end := strings.IndexAny(rest+"/", "/?#")
	authority, tail := rest[:end], rest[end:]
	at := strings.LastIndexByte(authority, '@') + 1
	for host := range strings.SplitSeq(authority[at:], ",") {
		addr, err := l.addr(host)
		if err != nil {
			return bad("no host, or a port that is no number; a password with any of @:/?#%% in it has them as %%40, %%3A and so on")
		}
		l.addrs = append(l.addrs, addr)
	}
	if len(l.addrs) > 1 && l.kind == single {
		return bad("several hosts, which only a cluster and sentinels have")
	}
	u, err := url.Parse("redis://" + authority[:at] + "host" + tail)
	if err != nil || u.Fragment != "" {
		return bad("a character that has to be escaped; a password with any of @:/?#%% in it has them as %%40, %%3A and so on")
	}
	l.user = u.User.Username()
	l.password, _ = u.User.Password()
	if err := l.setPath(strings.Trim(u.Path, "/")); err != nil {
		return bad("%v", err)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return bad("what is behind the question mark cannot be read")
	}
	if err := l.setQuery(query); err != nil {
		return bad("%v", err)
	}
	return l, nil
}

// addr returns a host as host:port.
func (l *location) addr(host string) (string, error) {
	u, err := url.Parse("redis://" + host)
	if err != nil {
		return "", err
	}
	if u.Hostname() == "" {
		return "", errors.New("no host")
	}
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), l.port)), nil
}

func (l *location) setPath(path string) (err error) {
	if l.kind == sentinel {
		l.master, path, _ = strings.Cut(path, "/")
		if l.master == "" {
			return errors.New("the name that the sentinels know the master by is missing")
		}
	}
	if path == "" {
		return nil
	}
	if l.kind == cluster {
		return errors.New("a cluster has no numbered databases")
	}
	if l.db, err = strconv.Atoi(path); err != nil || l.db < 0 {
		return errors.New("the database is not a number")
	}
	return nil
}

func (l *location) setQuery(query url.Values) error {
	for key, values := range query {
		if !slices.Contains(l.query, key) {
			return fmt.Errorf("?%s= is unknown here: there are %s", key, strings.Join(l.query, ", "))
		}
		if len(values) > 1 {
			return fmt.Errorf("?%s= is given twice", key)
		}
	}
	l.prefix = cmp.Or(query.Get("prefix"), defaultPrefix)
	// Braces would decide the hash slot, and a pattern would match too much.
	if len(l.prefix) > maxPrefix || strings.ContainsFunc(l.prefix, notInPrefix) {
		return fmt.Errorf("the prefix has more than letters, digits and :._-/ or is longer than %d", maxPrefix)
	}
	l.sentinelUser, l.sentinelPassword = query.Get("sentinel_user"), query.Get("sentinel_password")
	switch query.Get("tls") {
	case "true":
		l.tls = true
	case "", "false":
	default:
		return errors.New("?tls= is neither true nor false")
	}
	l.ca = query.Get("ca")
	return l.setTLS()
}

func notInPrefix(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(":._-/", r)
}

func (l *location) setTLS() error {
	switch {
	case !l.tls && l.ca != "":
		return errors.New("?ca= has a meaning only with TLS")
	case !l.tls:
		return nil
	}
	l.tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if l.ca == "" {
		return nil
	}
	pem, err := os.ReadFile(l.ca)
	if err != nil {
		return fmt.Errorf("?ca=: %w", err)
	}
	l.tlsConfig.RootCAs = x509.NewCertPool()
	if !l.tlsConfig.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("?ca=: no certificate in %s, which must be PEM", l.ca)
	}
	return nil
}

// Redacted returns a URL without its passwords, for logs.
func Redacted(s string) string {
	if !strings.Contains(s, "@") && !strings.Contains(s, "password") {
		return s
	}
	l, err := parse(s)
	if err != nil {
		name, _, _ := strings.Cut(s, ":")
		return name + "://..." // in an invalid URL nobody knows where the password ends
	}
	return l.String()
}

// String returns the URL without its passwords.
func (l *location) String() string {
	u := &url.URL{Scheme: l.name, Host: strings.Join(l.addrs, ",")}
	switch {
	case l.password != "":
		u.User = url.UserPassword(l.user, redacted)
	case l.user != "":
		u.User = url.User(l.user)
	}
	if l.master != "" {
		u.Path = "/" + l.master
	}
	if l.db != 0 {
		u.Path += "/" + strconv.Itoa(l.db)
	}
	query := []string{}
	for _, q := range []struct {
		key, value string
		set        bool
	}{
		{"prefix", l.prefix, l.prefix != defaultPrefix},
		{"tls", "true", l.tls && l.kind == sentinel},
		{"ca", l.ca, l.ca != ""},
		{"sentinel_user", l.sentinelUser, l.sentinelUser != ""},
		{"sentinel_password", redacted, l.sentinelPassword != ""},
	} {
		if q.set {
			query = append(query, q.key+"="+q.value)
		}
	}
	u.RawQuery = strings.Join(query, "&")
	return u.String()
}
