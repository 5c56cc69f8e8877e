package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/openccs/openccs/ccs/card/atomicfile"
	"github.com/openccs/openccs/ccs/mcsclient"
)

// saveEvery is the minimum time between two writes of the state of a connected device.
const saveEvery = time.Second

// deviceState is the state of a device between runs. It belongs to the goroutine that connects,
// except while keep runs.
type deviceState struct {
	path string

	Identity mcsclient.Identity `json:"identity"`
	Tokens   []deviceToken      `json:"tokens"`
	// Received are persistent IDs of messages whose acknowledgement the server may lack.
	Received []string `json:"received"`
}

// deviceToken is a registration token with its server, app and sender.
type deviceToken struct {
	Server string `json:"server"`
	App    string `json:"app"`
	Sender string `json:"sender"`
	Token  string `json:"token"`
}

// openState reads a state file, or returns an empty state if there is none.
func openState(path string) (*deviceState, error) {
	s := &deviceState{path: path}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = checkWritable(path) // before the server makes a device that nobody could use again
		if err != nil {
			err = fmt.Errorf("--state: %w", err)
		}
		return s, err
	}
	if err == nil {
		err = json.Unmarshal(b, s)
	}
	if err != nil {
		return nil, &hintedError{err: fmt.Errorf("--state %s: %w", path, err), hint: "name another file, or remove it for a new device"}
	}
	return s, nil
}

// forget clears the state, because the server has lost the identity and with it all tokens.
func (s *deviceState) forget() {
	s.Identity, s.Tokens, s.Received = mcsclient.Identity{}, nil, nil
}

func (s *deviceState) token(server, app, sender string) string {
	for _, t := range s.Tokens {
		if t.Server == server && t.App == app && t.Sender == sender {
			return t.Token
		}
	}
	return ""
}

// setToken replaces the token of the app on the server. An app on a device has one (DEV 3.5).
func (s *deviceState) setToken(server, app, sender, token string) {
	s.Tokens = slices.DeleteFunc(s.Tokens, func(t deviceToken) bool { return t.Server == server && t.App == app })
	s.Tokens = append(s.Tokens, deviceToken{Server: server, App: app, Sender: sender, Token: token})
}

// save writes the state. Only the owner can read it, because it holds the secret of the device.
func (s *deviceState) save() error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := atomicfile.Write(s.path, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("--state: %w", err)
	}
	return nil
}

// saveReceived saves the state if the received IDs have changed.
func (s *deviceState) saveReceived(received []string) error {
	if slices.Equal(s.Received, received) {
		return nil
	}
	s.Received = received
	return s.save()
}

// keep saves the received IDs at limited intervals until ctx ends.
func (s *deviceState) keep(ctx context.Context, received func() []string, out *output) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := s.saveReceived(received()); err != nil {
				out.note("%v", err) // the next save may succeed; the last one decides
			}
		case <-ctx.Done():
			return
		}
	}
}
