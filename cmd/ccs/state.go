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

// saveEvery bounds how often a connected device writes its state.
const saveEvery = time.Second

// deviceState is what a device remembers between runs. It belongs to the goroutine that connects, except
// while keep runs.
type deviceState struct {
	path string

	Identity mcsclient.Identity `json:"identity"`
	Tokens   []deviceToken      `json:"tokens"`
	// Received are persistent ids of messages that the server may not know to have arrived.
	Received []string `json:"received"`
}

// deviceToken is a registration: for whom, and where.
type deviceToken struct {
	Server string `json:"server"`
	App    string `json:"app"`
	Sender string `json:"sender"`
	Token  string `json:"token"`
}

// openState reads a state file, or begins an empty state if there is none.
func openState(path string) (*deviceState, error) {
	s := &deviceState{path: path}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = checkWritable(path) // before the server has made a device that nobody would remember
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

// forget begins anew: the server does not know the identity any more, and so none of the tokens.
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

// setToken replaces the app's token on the server: an app on a device has one (DEV 3.5).
func (s *deviceState) setToken(server, app, sender, token string) {
	s.Tokens = slices.DeleteFunc(s.Tokens, func(t deviceToken) bool { return t.Server == server && t.App == app })
	s.Tokens = append(s.Tokens, deviceToken{Server: server, App: app, Sender: sender, Token: token})
}

// save writes the state for its owner alone: it holds the device's secret.
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

// saveReceived saves the state if what was received has changed.
func (s *deviceState) saveReceived(received []string) error {
	if slices.Equal(s.Received, received) {
		return nil
	}
	s.Received = received
	return s.save()
}

// keep saves what was received, at bounded intervals, until ctx ends.
func (s *deviceState) keep(ctx context.Context, received func() []string, out *output) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := s.saveReceived(received()); err != nil {
				out.note("%v", err) // the next one may work; the last one decides
			}
		case <-ctx.Done():
			return
		}
	}
}
