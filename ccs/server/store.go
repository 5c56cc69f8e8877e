package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
	"github.com/openccs/openccs/store/memstore"
	"github.com/openccs/openccs/store/redisstore"
)

// These are the kinds of store, each the scheme of a store URL. Redis stores have several schemes.
const (
	storeDisk   = "disk"
	storeMemory = "memory"
	storeRedis  = "redis"
)

// parseStore returns the kind of store that a URL names, with a directory or the whole Redis URL.
// The error is a *ConfigError.
func parseStore(url string) (kind, rest string, err error) {
	if redisstore.IsURL(url) {
		return storeRedis, url, checkRedis(url)
	}
	bad := func(problem string) (string, string, error) {
		return "", "", &ConfigError{
			Flag: "store", Value: redisstore.Redacted(url), Problem: problem,
			Mend: "use disk: for the embedded store, memory: for none, or redis://host:port",
		}
	}
	kind, rest, ok := strings.Cut(url, ":")
	switch {
	case !ok:
		return bad("not a store URL")
	case kind == storeMemory && rest != "":
		return bad("memory: takes nothing behind the colon")
	case kind != storeDisk && kind != storeMemory:
		return bad(fmt.Sprintf("unknown kind of store %q", kind))
	}
	return kind, strings.TrimPrefix(rest, "//"), nil
}

func checkRedis(url string) error {
	err := redisstore.Check(url)
	var bad *redisstore.URLError
	if errors.As(err, &bad) {
		return &ConfigError{Flag: "store", Value: redisstore.Redacted(url), Problem: bad.Problem, Mend: bad.Mend}
	}
	return err
}

// OpenStore opens the store of a configuration, like Start. Commands use it when no server runs.
func OpenStore(ctx context.Context, conf Config) (store.Store, error) {
	kind, rest, err := parseStore(conf.Store)
	if err != nil {
		return nil, err
	}
	switch kind {
	case storeMemory:
		return memstore.New(), nil
	case storeRedis:
		return openRedis(ctx, conf)
	}
	dir := storeDir(conf.DataDir, rest)
	open := conf.OpenDisk
	if open == nil {
		open = func(dir string) (store.Store, error) { return diskstore.Open(dir, diskOptions(conf)) }
	}
	st, err := open(dir)
	if errors.Is(err, store.ErrLocked) {
		return nil, fmt.Errorf("another ccs runs on %s: stop it or use another --data: %w", cmp.Or(conf.DataDir, dir), err)
	}
	return st, err
}

// diskOptions returns the options of the embedded store.
func diskOptions(conf Config) diskstore.Options {
	o := diskstore.Options{MaxOpenFiles: shareFiles(openFiles(), conf.Store).store, ServeDamaged: conf.StoreDamage == damageServe}
	if conf.Logger != nil {
		o.Report = conf.Logger.Named("diskstore").Sugar().Warnf
	}
	return o
}

func storeDir(dataDir, dir string) string { return cmp.Or(dir, filepath.Join(dataDir, "store")) }

// StoreDir returns the directory of the embedded store, or "" for a store of another kind.
func StoreDir(conf Config) string {
	if kind, dir, err := parseStore(conf.Store); err == nil && kind == storeDisk {
		return storeDir(conf.DataDir, dir)
	}
	return ""
}

func openRedis(ctx context.Context, conf Config) (store.Store, error) {
	replicas, timeout, err := parseWait(conf.RedisWait)
	if err != nil {
		return nil, fmt.Errorf("--redis-wait %q: %w", conf.RedisWait, err)
	}
	return redisstore.Open(ctx, conf.Store, redisstore.Options{
		Logger:        conf.Logger,
		Heartbeat:     conf.NodeHeartbeat,
		AllowEviction: conf.AllowEviction,
		Wait:          replicas,
		WaitTimeout:   timeout,
		Repeats:       conf.RememberRepeats,
	})
}

// parseWait parses N or N:MS: how many replicas must answer, and in how many milliseconds. It
// returns 0 for a missing number.
func parseWait(s string) (replicas int, timeout time.Duration, err error) {
	if s == "" {
		return 0, 0, nil
	}
	count, millis, limited := strings.Cut(s, ":")
	if replicas, err = strconv.Atoi(count); err != nil || replicas <= 0 {
		return 0, 0, errors.New("not a number of replicas")
	}
	if !limited {
		return replicas, 0, nil
	}
	n, err := strconv.ParseUint(millis, 10, 31)
	if err != nil || n == 0 {
		return 0, 0, errors.New("not a number of milliseconds")
	}
	return replicas, time.Duration(n) * time.Millisecond, nil
}
