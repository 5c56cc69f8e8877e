package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/openccs/openccs/store"
)

// App is an app of GCM for Chrome that belongs to a project (CCS 7.3).
type App struct {
	ID       string    `json:"extension_id"`
	SenderID string    `json:"sender_id"`
	Created  time.Time `json:"created"`
}

// maxAppID bounds the ID of an app. An extension ID has 32 characters.
const maxAppID = 64

// checkApp enforces the form of CCS 7.2.
func checkApp(id string) error {
	bad := id == "" || len(id) > maxAppID
	for _, c := range id {
		bad = bad || (c < 'a' || c > 'z') && (c < '0' || c > '9')
	}
	if bad {
		return fmt.Errorf("%w: extension ID %q: use 1 to %d of a-z and 0-9", ErrInvalid, id, maxAppID)
	}
	return nil
}

// AddApp gives a project an app. It returns store.ErrExists if a project has it, store.ErrNotFound
// if there is no such project.
func (p *Projects) AddApp(ctx context.Context, sender, id string) error {
	if err := checkApp(id); err != nil {
		return err
	}
	if err := p.store.AddApp(ctx, &store.App{ID: id, Sender: sender, Created: p.o.Now()}); err != nil {
		return fmt.Errorf("add an app: %w", err)
	}
	return nil
}

// RemoveApp takes an app from a project. It returns store.ErrNotFound if the project has no such
// app.
func (p *Projects) RemoveApp(ctx context.Context, sender, id string) error {
	if err := p.store.RemoveApp(ctx, sender, id); err != nil {
		return fmt.Errorf("remove an app: %w", err)
	}
	return nil
}

// ListApps returns the apps of a project, by ID.
func (p *Projects) ListApps(ctx context.Context, sender string) ([]App, error) {
	all, err := p.store.Apps(ctx, sender)
	if err != nil {
		return nil, fmt.Errorf("list apps: %w", err)
	}
	list := []App{}
	for _, a := range all {
		list = append(list, App{ID: a.ID, SenderID: a.Sender, Created: a.Created})
	}
	return list, nil
}

// appRoutes adds the routes of apps.
func appRoutes(mux *http.ServeMux, p *Projects) {
	mux.Handle("GET /projects/{sender}/apps", Handler(func(_ http.ResponseWriter, r *http.Request) (any, error) {
		return p.ListApps(r.Context(), r.PathValue("sender"))
	}))
	mux.Handle("PUT /projects/{sender}/apps/{app}", Handler(func(_ http.ResponseWriter, r *http.Request) (any, error) {
		return nil, p.AddApp(r.Context(), r.PathValue("sender"), r.PathValue("app"))
	}))
	mux.Handle("DELETE /projects/{sender}/apps/{app}", Handler(func(_ http.ResponseWriter, r *http.Request) (any, error) {
		return nil, p.RemoveApp(r.Context(), r.PathValue("sender"), r.PathValue("app"))
	}))
}

func appPath(sender, id string) string {
	return "/projects/" + url.PathEscape(sender) + "/apps/" + url.PathEscape(id)
}

// AddApp does the same as Projects.AddApp.
func (c *Client) AddApp(ctx context.Context, sender, id string) error {
	if err := checkApp(id); err != nil {
		return err
	}
	return c.Do(ctx, http.MethodPut, appPath(sender, id), nil, nil)
}

// RemoveApp does the same as Projects.RemoveApp.
func (c *Client) RemoveApp(ctx context.Context, sender, id string) error {
	if err := checkApp(id); err != nil {
		return fmt.Errorf("%w: %w", store.ErrNotFound, err)
	}
	return c.Do(ctx, http.MethodDelete, appPath(sender, id), nil, nil)
}

// ListApps does the same as Projects.ListApps.
func (c *Client) ListApps(ctx context.Context, sender string) ([]App, error) {
	var out []App
	err := c.Do(ctx, http.MethodGet, "/projects/"+url.PathEscape(sender)+"/apps", nil, &out)
	return out, err
}
