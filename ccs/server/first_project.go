package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/ccs/card"
	"github.com/openccs/openccs/ccs/card/atomicfile"
	"github.com/openccs/openccs/store"
)

// writeCard writes the card with a project and, if known, its key. The project is the one of the
// last card, or a new one in a store that never had a project.
//
// A server that is killed during this must not leave a project whose key nobody knows. So a
// separate file holds the key from before the store has the project until the card has the key.
// The next start continues from that file.
func (s *Server) writeCard(ctx context.Context, projects *admin.Projects) error {
	old, err := card.Read(s.conf.DataDir)
	switch {
	case errors.Is(err, card.ErrNoCard):
		old = &card.Card{}
	case err != nil:
		return err
	}
	begun, err := s.readBegun()
	if err != nil {
		return err
	}
	switch has, err := s.putOnCard(ctx, begun); {
	case err != nil:
		return err
	case has && s.card.APIKey != "":
		s.card.NewKey = old.APIKey != s.card.APIKey
	default:
		if has, err = s.putOnCard(ctx, &admin.Credentials{SenderID: old.SenderID, APIKey: old.APIKey}); err != nil {
			return err
		}
		if has || s.conf.NoFirstProject {
			break
		}
		if err := s.makeFirstProject(ctx, projects); err != nil {
			return err
		}
	}
	if err := s.card.Write(s.conf.DataDir); err != nil {
		return err
	}
	return s.removeBegun()
}

// putOnCard adds a project to the card if the store has it, and adds its key if that is valid.
func (s *Server) putOnCard(ctx context.Context, c *admin.Credentials) (has bool, err error) {
	if c.SenderID == "" {
		return false, nil
	}
	p, err := s.store.Project(ctx, c.SenderID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	s.card.SenderID, s.card.APIKey = c.SenderID, ""
	if p.Key(c.APIKey) != nil {
		s.card.APIKey = c.APIKey
	}
	return true, nil
}

// makeFirstProject makes a project and adds it to the card, if the store never had a project.
func (s *Server) makeFirstProject(ctx context.Context, projects *admin.Projects) error {
	made, err := projects.CreateFirst(ctx, "default", s.writeBegun)
	switch {
	case errors.Is(err, store.ErrExists):
		return nil
	case err != nil:
		return fmt.Errorf("make the first project: %w", err)
	}
	s.card.SenderID, s.card.APIKey, s.card.NewKey = made.SenderID, made.APIKey, true
	return nil
}

// begunPath returns the path of the file with the credentials of an unfinished first project.
func (s *Server) begunPath() string { return filepath.Join(s.conf.DataDir, "first-project.json") }

// readBegun returns the credentials of a first project that an earlier start began to make. They
// are empty if there is no such project.
func (s *Server) readBegun() (*admin.Credentials, error) {
	var c admin.Credentials
	text, err := os.ReadFile(s.begunPath())
	if errors.Is(err, fs.ErrNotExist) {
		return &c, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		return nil, fmt.Errorf("read the key of the first project in %s: %w", s.begunPath(), err)
	}
	return &c, nil
}

func (s *Server) writeBegun(c *admin.Credentials) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return atomicfile.Write(s.begunPath(), text, 0o600)
}

func (s *Server) removeBegun() error {
	if err := os.Remove(s.begunPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what the start has finished with: %w", err)
	}
	return nil
}
