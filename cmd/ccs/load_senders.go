package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/ccs/card/atomicfile"
	"github.com/openccs/openccs/ccs/load"
)

// senders returns the credentials of the app servers: first those of the flags, then those of a
// file. If the server of the data directory runs, it makes the missing projects. senders keeps them
// in that file.
func (c *loadRunCmd) senders(ctx context.Context, local *admin.Client) ([]load.Credentials, error) {
	path := c.Credentials
	if path == "" {
		path = filepath.Join(c.Data, "load-senders.json")
	}
	var list []load.Credentials
	if c.Key != "" {
		list = append(list, load.Credentials{SenderID: c.Sender, APIKey: c.Key})
	}
	if len(list) >= c.Senders {
		return list, nil
	}
	kept, err := readCredentials(path)
	if err != nil && (c.Credentials != "" || !errors.Is(err, fs.ErrNotExist)) {
		return nil, fmt.Errorf("--credentials: %w", err)
	}
	missing := c.Senders - len(list) - len(kept)
	if missing > 0 && (local == nil || c.Credentials != "") {
		return nil, &usageError{
			err:  fmt.Errorf("--senders %d: there are credentials of %d", c.Senders, len(list)+len(kept)),
			hint: "list more in --credentials FILE, or name the data directory of a running server, which makes projects",
		}
	}
	for range missing {
		made, err := local.Create(ctx, "load", "")
		if err != nil {
			return nil, err
		}
		kept = append(kept, load.Credentials{SenderID: made.SenderID, APIKey: made.APIKey})
	}
	if missing > 0 {
		b, err := json.MarshalIndent(kept, "", "  ")
		if err != nil {
			return nil, err
		}
		if err := atomicfile.Write(path, append(b, '\n'), 0o600); err != nil {
			return nil, err
		}
	}
	return append(list, kept...), nil
}

// readCredentials reads a list in YAML or JSON.
func readCredentials(path string) (list []load.Credentials, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for i, c := range list {
		if c.SenderID == "" || c.APIKey == "" {
			return nil, fmt.Errorf("%s: entry %d lacks sender_id or api_key", path, i+1)
		}
	}
	return list, nil
}
