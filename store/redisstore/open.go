package redisstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.uber.org/zap"
)

const (
	openTimeout = 5 * time.Second // for the checks of Redis
	dialTimeout = 2 * time.Second // for a connection
	// readTimeout is the time for an answer. A Redis that stands still for half of it only delays
	// calls.
	readTimeout = 20 * time.Second
	poolSize    = 16       // connections to each shard; they carry batches
	bufferBytes = 64 << 10 // for each connection and direction: about a batch
)

// Defaults of Options.
const (
	defaultHeartbeat   = 5 * time.Second
	defaultRetry       = 5 * time.Second
	defaultWaitTimeout = time.Second
)

func (o *Options) setDefaults() {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Heartbeat <= 0 {
		o.Heartbeat = defaultHeartbeat
	}
	if o.Retry <= 0 {
		o.Retry = defaultRetry
	}
	if o.WaitTimeout <= 0 {
		o.WaitTimeout = defaultWaitTimeout
	}
}

// Open opens the store at a URL, which Check describes. It fails at once if Redis is not reachable,
// is not of the kind in the URL, or discards data that it must keep. The error says what to do and
// contains no password.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	l, err := parse(url)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", Redacted(url), err)
	}
	redis.SetLogger(silence{})
	s := newStore(l.client(), l.prefix, o)
	check, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	err = s.probe(check, l)
	if err == nil {
		err = s.askDurability(check)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", l, l.explain(err)), s.Close())
	}
	s.log.Info("store is open", zap.Stringer("redis", l), zap.String("durability", s.durability))
	return s, nil
}

// silence replaces the client's own log, which is global to the process. Failures are returned as
// errors of calls.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// client returns a client that never repeats a command by itself if the command may have arrived.
func (l *location) client() redis.UniversalClient {
	const never, once = -1, 1
	switch l.kind {
	case sentinel:
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: l.master, SentinelAddrs: l.addrs,
			SentinelUsername: l.sentinelUser, SentinelPassword: l.sentinelPassword,
			Username: l.user, Password: l.password, DB: l.db, TLSConfig: l.tlsConfig,
			Protocol: 2, DisableIdentity: true,
			MaxRetries: never, DialerRetries: once, DialTimeout: dialTimeout,
			ReadTimeout: readTimeout, ContextTimeoutEnabled: true,
			PoolSize: poolSize, PipelinePoolSize: never, ReadBufferSize: bufferBytes, WriteBufferSize: bufferBytes,
		})
	case cluster:
		return redis.NewClusterClient(&redis.ClusterOptions{
			Addrs:    l.addrs,
			Username: l.user, Password: l.password, TLSConfig: l.tlsConfig,
			Protocol: 2, DisableIdentity: true, MaintNotificationsConfig: noNotifications(),
			MaxRetries: never, DialerRetries: once, DialTimeout: dialTimeout,
			ReadTimeout: readTimeout, ContextTimeoutEnabled: true,
			PoolSize: poolSize, PipelinePoolSize: never, ReadBufferSize: bufferBytes, WriteBufferSize: bufferBytes,
		})
	}
	return redis.NewClient(&redis.Options{
		Addr:     l.addrs[0],
		Username: l.user, Password: l.password, DB: l.db, TLSConfig: l.tlsConfig,
		Protocol: 2, DisableIdentity: true, MaintNotificationsConfig: noNotifications(),
		MaxRetries: never, DialerRetries: once, DialTimeout: dialTimeout,
		ReadTimeout: readTimeout, ContextTimeoutEnabled: true,
		PoolSize: poolSize, PipelinePoolSize: never, ReadBufferSize: bufferBytes, WriteBufferSize: bufferBytes,
	})
}

// noNotifications saves each connection a command that only one vendor's Redis knows.
func noNotifications() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// onPrimaries calls fn for every primary, several at a time.
func (s *Store) onPrimaries(ctx context.Context, fn func(ctx context.Context, c *redis.Client) error) error {
	if c, ok := s.rdb.(*redis.ClusterClient); ok {
		return c.ForEachMaster(ctx, fn)
	}
	return fn(ctx, s.rdb.(*redis.Client))
}

// probe checks that Redis is of the kind in the URL.
func (s *Store) probe(ctx context.Context, l *location) error {
	return s.onPrimaries(ctx, func(ctx context.Context, c *redis.Client) error {
		hello, err := c.Do(ctx, "HELLO").Slice()
		if err != nil {
			return err
		}
		is := map[any]any{}
		for i := 0; i+1 < len(hello); i += 2 {
			is[hello[i]] = hello[i+1]
		}
		switch {
		case is["mode"] == "sentinel":
			return errors.New("this is a sentinel: write redis-sentinel://host:port/master-name")
		case is["mode"] == "cluster" && l.kind != cluster:
			return errors.New("this Redis is part of a cluster: write redis-cluster://host:port")
		case is["role"] == "replica":
			return errors.New("this Redis is a replica: name the primary, or sentinels that know it with redis-sentinel://")
		}
		return nil
	})
}

// explain adds advice to an error of opening.
func (l *location) explain(err error) error {
	var dns *net.DNSError
	var record tls.RecordHeaderError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	says := func(text string) bool { return strings.Contains(err.Error(), text) }
	hint := ""
	switch {
	case errors.As(err, &dns):
		hint = "is the host name right?"
	case errors.Is(err, syscall.ECONNREFUSED):
		hint = "is Redis running there?"
	case errors.As(err, &record):
		hint = "is it a port without TLS? then write redis:// or redis-cluster://"
	case errors.As(err, &unknown):
		hint = "give the CA of Redis with ?ca=FILE"
	case errors.As(err, &name):
		hint = "write the host as the certificate of Redis has it"
	case says("WRONGPASS"):
		hint = "are user and password right?"
	case says("NOAUTH"):
		hint = "Redis wants a password: write " + l.form
	case says("DB index is out of range"):
		hint = fmt.Sprintf("Redis has no database %d", l.db)
	case says("cluster support disabled"):
		hint = "this Redis is not part of a cluster: write redis://host:port"
	case says("sentinels specified in configuration are unreachable"):
		hint = "do sentinels run there, with that password, and do they know " + l.master + "?"
	case says("unknown command"):
		hint = "is it Redis 7 or later?"
	case says("LOADING"):
		hint = "Redis reads its data: try again when it is done"
	case says("can't parse"), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		hint = "is it Redis? if it takes only TLS, write rediss:// or rediss-cluster://"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		hint = "nobody answers there: is it Redis, can it be reached, and does it take TLS?"
		if !l.tls {
			hint = "nobody answers there: is it Redis, and can it be reached?"
		}
	}
	if hint == "" {
		return err
	}
	return fmt.Errorf("%w; %s", err, hint)
}
