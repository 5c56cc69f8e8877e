package main

import (
	"context"
	"errors"
	"time"

	"github.com/openccs/openccs/ccs/admin"
)

type projectOAuthCmd struct {
	Create projectOAuthCreateCmd `cmd:"" help:"Creation or import of an OAuth client with a refresh token."`
	List   projectOAuthListCmd   `cmd:"" help:"List of the OAuth clients."`
	Revoke projectOAuthRevokeCmd `cmd:"" help:"Revocation of an OAuth client, or of its access tokens only."`
}

type projectOAuthCreateCmd struct {
	projectFlags
	Sender       string `placeholder:"ID" help:"Sender ID of the project. Default: the sender ID on the connection card."`
	Name         string `arg:"" optional:"" help:"Name for display."`
	ClientID     string `placeholder:"ID" help:"Client ID that an app server has already. Default: a new one."`
	ClientSecret string `placeholder:"SECRET" help:"Client secret that an app server has already. Default: a new one."`
	RefreshToken string `placeholder:"TOKEN" help:"Refresh token that an app server has already. Default: a new one."`
	Scope        string `placeholder:"SCOPE" help:"Scope of the access tokens. Default: the scopes of GCM for Chrome, or those of a user with --user."`
	User         string `placeholder:"NUMBER" help:"User that the refresh token speaks for, for apps that call getChannelId. Default: none, the token is the project's."`
}

// Help returns the long help with examples.
func (projectOAuthCreateCmd) Help() string {
	return `The secret and the refresh token are shown only once, because only their hashes are kept.
An app server exchanges the refresh token for access tokens at /o/oauth2/token.

Examples:

    ccs project oauth create --sender 123456789012 --json
    ccs project oauth create --client-id 29179.apps.googleusercontent.com --client-secret 0bKU --refresh-token 1%wMf
    ccs project oauth create --user 08144192009958038014
`
}

// Run makes the client and prints its credentials.
func (c *projectOAuthCreateCmd) Run(ctx context.Context, out *output) error {
	k, err := needCard(c.Data, map[string]string{"--sender": c.Sender})
	if err != nil {
		return err
	}
	fill(&c.Sender, k.SenderID)
	if c.Sender == "" {
		return noProject("no sender ID")
	}
	return c.with(ctx, func(p projects) error {
		made, err := p.CreateOAuth(ctx, c.Sender, admin.OAuthRequest{
			Name: c.Name, ClientID: c.ClientID, ClientSecret: c.ClientSecret, RefreshToken: c.RefreshToken, Scope: c.Scope, User: c.User,
		})
		switch {
		case errors.Is(err, admin.ErrInvalid):
			return &usageError{err: err}
		case err != nil:
			return err
		case c.JSON:
			return out.json(made)
		}
		return out.printf("Client ID      %s\nClient secret  %s\nRefresh token  %s\n", made.ClientID, made.ClientSecret, made.RefreshToken)
	})
}

type projectOAuthListCmd struct {
	projectFlags
	Sender string `placeholder:"ID" help:"Sender ID of the project. Default: all projects."`
}

// Help returns the long help with examples.
func (projectOAuthListCmd) Help() string {
	return `Examples:

    ccs project oauth list
    ccs project oauth list --sender 123456789012 --json
`
}

// Run prints the clients with the number of their refresh tokens.
func (c *projectOAuthListCmd) Run(ctx context.Context, out *output) error {
	return c.with(ctx, func(p projects) error {
		list, err := p.ListOAuth(ctx, c.Sender)
		if err != nil {
			return err
		}
		if c.JSON {
			return out.json(list)
		}
		if len(list) == 0 {
			out.note("no OAuth clients yet: make one with: ccs project oauth create")
		}
		for _, client := range list {
			for _, token := range client.RefreshTokens {
				of := "of the project"
				if token.User != "" {
					of = "of user " + token.User
				}
				err := out.printf("%s  %s  %s  %s  refresh token %s: %s\n", client.ClientID, client.SenderID,
					client.Created.Local().Format(time.DateOnly), client.Name, of, token.Scope)
				if err != nil {
					return err
				}
			}
			if len(client.RefreshTokens) == 0 {
				err := out.printf("%s  %s  %s  %s  no refresh token\n", client.ClientID, client.SenderID, client.Created.Local().Format(time.DateOnly), client.Name)
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
}

type projectOAuthRevokeCmd struct {
	projectFlags
	Client       string `arg:"" help:"Client ID, as ccs project oauth list shows it."`
	AccessTokens bool   `help:"Revocation of the access tokens that the client has now. Its refresh tokens stay valid."`
}

// Help returns the long help with examples.
func (projectOAuthRevokeCmd) Help() string {
	return `Without --access-tokens the client is deleted with all of its tokens. Every node of a running
server refuses the tokens within a second, and closes the connections that have logged in with them.

Examples:

    ccs project oauth revoke 123456789012-abc.apps.googleusercontent.com
    ccs project oauth revoke 123456789012-abc.apps.googleusercontent.com --access-tokens
`
}

// Run revokes the client or its access tokens.
func (c *projectOAuthRevokeCmd) Run(ctx context.Context, out *output) error {
	return c.with(ctx, func(p projects) error {
		if err := p.RevokeOAuth(ctx, c.Client, c.AccessTokens); err != nil {
			return err
		}
		switch {
		case c.JSON:
			return out.json(struct {
				ClientID     string `json:"revoked"`
				AccessTokens bool   `json:"access_tokens_only"`
			}{c.Client, c.AccessTokens})
		case c.AccessTokens:
			return out.printf("revoked the access tokens of %s\n", c.Client)
		}
		return out.printf("revoked %s\n", c.Client)
	})
}
