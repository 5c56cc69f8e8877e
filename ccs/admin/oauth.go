package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/openccs/openccs/ccs/oauth"
)

// OAuthRequest asks for an OAuth client with a refresh token (CCS 7.1). Each empty field means a
// new credential or the default. A credential that is given exists already, such as one that an app
// server has compiled in.
type OAuthRequest struct {
	Name         string `json:"name"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	RefreshToken string `json:"refresh_token"`
	Scope        string `json:"scope"`
	// User is the user that the refresh token speaks for, or "" for the project (CCS 7.5).
	User string `json:"user"`
}

// OAuthCredentials are the credentials for the token endpoint. They are shown only this once.
type OAuthCredentials struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	RefreshToken string `json:"refresh_token"`
}

// OAuthClient is the public view of an OAuth client. It contains nothing of its secrets.
type OAuthClient struct {
	ClientID      string              `json:"client_id"`
	SenderID      string              `json:"sender_id"`
	Name          string              `json:"name"`
	Created       time.Time           `json:"created"`
	RefreshTokens []OAuthRefreshToken `json:"refresh_tokens"`
}

// OAuthRefreshToken is the public view of a refresh token.
type OAuthRefreshToken struct {
	Scope   string    `json:"scope"`
	User    string    `json:"user,omitempty"`
	Created time.Time `json:"created"`
}

type revokeOAuthRequest struct {
	ClientID     string `json:"client_id"`
	AccessTokens bool   `json:"access_tokens"`
}

// maxOAuthName bounds the name of an OAuth client in bytes.
const maxOAuthName = 256

// CreateOAuth makes an OAuth client of a project, with a refresh token. It returns
// store.ErrNotFound if there is no such project, and store.ErrExists if the client ID or the
// refresh token is taken.
func (p *Projects) CreateOAuth(ctx context.Context, sender string, r OAuthRequest) (*OAuthCredentials, error) {
	if len(r.Name) > maxOAuthName {
		return nil, fmt.Errorf("%w: a name of more than %d bytes", ErrInvalid, maxOAuthName)
	}
	issuer, err := p.issuer(ctx)
	if err != nil {
		return nil, err
	}
	now := p.o.Now()
	c, err := issuer.ImportClient(ctx, sender, r.Name, oauth.Client{ID: r.ClientID, Secret: r.ClientSecret}, now)
	if err != nil {
		return nil, invalidCredential(err)
	}
	grant := oauth.Grant{Scope: r.Scope, User: r.User}
	token := r.RefreshToken
	if token == "" {
		token, err = issuer.NewRefreshToken(ctx, c.ID, grant, now)
	} else {
		err = issuer.ImportRefreshToken(ctx, c.ID, token, grant, now)
	}
	if err != nil {
		// A client without a refresh token is of no use.
		return nil, errors.Join(invalidCredential(err), issuer.DeleteClient(context.WithoutCancel(ctx), c.ID))
	}
	if r.User != "" {
		// A message for a user that the operator knows is accepted before the user has an instance.
		if err := p.store.AddUser(ctx, r.User); err != nil {
			return nil, errors.Join(err, issuer.DeleteClient(context.WithoutCancel(ctx), c.ID))
		}
	}
	return &OAuthCredentials{ClientID: c.ID, ClientSecret: c.Secret, RefreshToken: token}, nil
}

func invalidCredential(err error) error {
	if errors.Is(err, oauth.ErrCredentials) || errors.Is(err, oauth.ErrScope) {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return err
}

// ListOAuth returns the OAuth clients of a sender, or those of all senders for "".
func (p *Projects) ListOAuth(ctx context.Context, sender string) ([]OAuthClient, error) {
	senders := []string{sender}
	if sender == "" {
		all, err := p.List(ctx)
		if err != nil {
			return nil, err
		}
		senders = senders[:0]
		for _, project := range all {
			senders = append(senders, project.SenderID)
		}
	}
	list := []OAuthClient{}
	for _, s := range senders {
		clients, err := p.store.OAuthClients(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("list OAuth clients: %w", err)
		}
		for _, c := range clients {
			shown := OAuthClient{ClientID: c.ID, SenderID: c.Sender, Name: c.Name, Created: c.Created, RefreshTokens: []OAuthRefreshToken{}}
			tokens, err := p.store.RefreshTokens(ctx, c.ID)
			if err != nil {
				return nil, fmt.Errorf("list refresh tokens: %w", err)
			}
			for _, t := range tokens {
				shown.RefreshTokens = append(shown.RefreshTokens, OAuthRefreshToken{Scope: t.Scope, User: t.User, Created: t.Created})
			}
			list = append(list, shown)
		}
	}
	return list, nil
}

// RevokeOAuth deletes an OAuth client with its refresh tokens and access tokens. With accessTokens
// it revokes only the access tokens that the client has now. It returns store.ErrNotFound if there
// is no such client.
func (p *Projects) RevokeOAuth(ctx context.Context, clientID string, accessTokens bool) error {
	issuer, err := p.issuer(ctx)
	if err != nil {
		return err
	}
	c, err := p.store.OAuthClient(ctx, clientID)
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	if accessTokens {
		err = issuer.RevokeAccessTokens(ctx, clientID)
	} else {
		err = issuer.DeleteClient(ctx, clientID)
	}
	if err != nil {
		return err
	}
	p.o.OnKeyRevoked(c.Sender)
	return nil
}

// issuer returns the issuer of the server, or one on the store where no server runs.
func (p *Projects) issuer(ctx context.Context) (*oauth.Issuer, error) {
	if p.o.Issuer != nil {
		return p.o.Issuer, nil
	}
	return oauth.New(ctx, p.store)
}

// oauthRoutes adds the routes of OAuth clients.
func oauthRoutes(mux *http.ServeMux, p *Projects) {
	mux.Handle("GET /oauth", Handler(func(_ http.ResponseWriter, r *http.Request) (any, error) {
		return p.ListOAuth(r.Context(), r.URL.Query().Get("sender"))
	}))
	mux.Handle("POST /projects/{sender}/oauth", Handler(func(w http.ResponseWriter, r *http.Request) (any, error) {
		var in OAuthRequest
		if err := Decode(w, r, &in); err != nil {
			return nil, err
		}
		return p.CreateOAuth(r.Context(), r.PathValue("sender"), in)
	}))
	mux.Handle("POST /oauth/revoke", Handler(func(w http.ResponseWriter, r *http.Request) (any, error) {
		var in revokeOAuthRequest
		if err := Decode(w, r, &in); err != nil {
			return nil, err
		}
		return nil, p.RevokeOAuth(r.Context(), in.ClientID, in.AccessTokens)
	}))
}

// CreateOAuth does the same as Projects.CreateOAuth.
func (c *Client) CreateOAuth(ctx context.Context, sender string, r OAuthRequest) (*OAuthCredentials, error) {
	var out OAuthCredentials
	return &out, c.Do(ctx, http.MethodPost, "/projects/"+url.PathEscape(sender)+"/oauth", r, &out)
}

// ListOAuth does the same as Projects.ListOAuth.
func (c *Client) ListOAuth(ctx context.Context, sender string) ([]OAuthClient, error) {
	var out []OAuthClient
	err := c.Do(ctx, http.MethodGet, "/oauth?sender="+url.QueryEscape(sender), nil, &out)
	return out, err
}

// RevokeOAuth does the same as Projects.RevokeOAuth.
func (c *Client) RevokeOAuth(ctx context.Context, clientID string, accessTokens bool) error {
	return c.Do(ctx, http.MethodPost, "/oauth/revoke", revokeOAuthRequest{ClientID: clientID, AccessTokens: accessTokens}, nil)
}
