package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// RestoreAccounts restores the secrets, projects, OAuth clients and refresh tokens of a page, and
// the records of GCM for Chrome. This part of Restore is the same in every store.
func RestoreAccounts(ctx context.Context, s Store, p *Page) error {
	for _, x := range p.Secrets {
		kept, err := s.Secret(ctx, x.Name, x.Value)
		if err != nil {
			return err
		}
		if !bytes.Equal(kept, x.Value) {
			return fmt.Errorf("secret %s: another one %w, and what was made with that would be good no more", x.Name, ErrExists)
		}
	}
	for _, r := range p.Projects {
		err := restore(r, s.CreateProject(ctx, r), func() (*Project, error) { return s.Project(ctx, r.Sender) })
		if err != nil {
			return err
		}
	}
	for _, r := range p.Clients {
		err := restore(r, s.CreateOAuthClient(ctx, r), func() (*OAuthClient, error) { return s.OAuthClient(ctx, r.ID) })
		if err != nil {
			return err
		}
	}
	for _, r := range p.RefreshTokens {
		err := restore(r, s.PutRefreshToken(ctx, r), func() (*RefreshToken, error) { return s.RefreshToken(ctx, r.Hash) })
		if err != nil {
			return err
		}
	}
	return restoreChrome(ctx, s, p)
}

// restoreChrome restores the records of GCM for Chrome.
func restoreChrome(ctx context.Context, s Store, p *Page) error {
	for _, r := range p.Apps {
		err := restore(r, s.AddApp(ctx, r), func() (*App, error) { return s.App(ctx, r.ID) })
		if err != nil {
			return err
		}
	}
	for _, user := range p.Users {
		if err := s.AddUser(ctx, user); err != nil {
			return err
		}
	}
	for _, c := range p.Channels {
		if err := s.AddChannel(ctx, c); err != nil {
			return err
		}
	}
	for _, c := range p.DailyCounts {
		if err := s.PutDailyCount(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// restore creates a record and judges the error: if the same record exists already, that is no
// error.
func restore[T any](r T, err error, read func() (T, error)) error {
	if !errors.Is(err, ErrExists) {
		return err
	}
	there, readErr := read()
	if readErr == nil && Alike(there, r) {
		return nil
	}
	return errors.Join(err, readErr)
}
