package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// RestoreAccounts is the part of Restore that every store can do alike: the secrets, projects, OAuth clients and
// refresh tokens of a page.
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
	return nil
}

// restore judges the error of creating a record: that the same one is there already is none.
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
