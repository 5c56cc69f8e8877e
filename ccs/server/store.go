package server

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"openccs/store"
	"openccs/store/diskstore"
	"openccs/store/memstore"
)

// The kinds of store, as the scheme of a store URL.
const (
	storeDisk   = "disk"
	storeMemory = "memory"
)

// parseStore splits a store URL into its scheme and the rest.
func parseStore(url string) (scheme, rest string, err error) {
	scheme, rest, ok := strings.Cut(url, ":")
	switch {
	case !ok:
		return "", "", errors.New("not a store URL")
	case scheme == storeMemory && rest != "":
		return "", "", errors.New("memory: takes nothing behind the colon")
	case scheme != storeDisk && scheme != storeMemory:
		return "", "", fmt.Errorf("unknown kind of store %q", scheme)
	}
	return scheme, strings.TrimPrefix(rest, "//"), nil
}

// OpenStore opens the store of a data directory by its URL, as Start does. Commands use it when no server
// runs.
func OpenStore(dataDir, url string) (store.Store, error) {
	scheme, dir, err := parseStore(url)
	if err != nil {
		return nil, &ConfigError{Flag: "store", Value: url, Problem: err.Error(), Mend: "use disk: or memory:"}
	}
	if scheme == storeMemory {
		return memstore.New(), nil
	}
	if dir == "" {
		dir = filepath.Join(dataDir, "store")
	}
	st, err := diskstore.Open(dir, diskstore.Options{})
	if errors.Is(err, store.ErrLocked) {
		return nil, fmt.Errorf("another ccs runs on %s: stop it or use another --data: %w", dataDir, err)
	}
	return st, err
}
