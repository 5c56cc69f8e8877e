package httpserver

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"

	"go.uber.org/zap"
)

// Limits of an installation. Clients send far less (DEV 12).
const (
	maxInstallation   = 16 << 10
	maxInstallationID = 64 // IDs have 22 characters, or 23 from clients that forget to cut
)

// installationLife is how long an installation's token is valid, in Firebase's form: a week.
const installationLife = "604800s"

// installation is the resource that Firebase's libraries create before they register (DEV 12).
type installation struct {
	Name         string            `json:"name"`
	FID          string            `json:"fid"`
	RefreshToken string            `json:"refreshToken"`
	AuthToken    installationToken `json:"authToken"`
}

type installationToken struct {
	Token     string `json:"token"`
	ExpiresIn string `json:"expiresIn"`
}

// install is POST /v1/projects/<project>/installations (DEV 12). The server has no use for
// installations: it identifies a device by its credentials from check-in, and never checks the
// tokens made here. So nothing is stored, and any project is accepted.
func (s *Server) install(r *http.Request) Answer {
	body, err := ReadBody(r, maxInstallation)
	if errors.Is(err, ErrNoRoom) {
		return TryLater()
	}
	var req struct {
		FID string `json:"fid"`
	}
	if err != nil || json.Unmarshal(body, &req) != nil || !proper(req.FID, maxInstallationID) {
		return JSON(http.StatusBadRequest, map[string]any{"error": map[string]any{
			"code": http.StatusBadRequest, "message": "Request contains an invalid argument.", "status": "INVALID_ARGUMENT",
		}})
	}
	if req.FID == "" {
		req.FID = newInstallationID()
	}
	project := r.PathValue("project")
	a := JSON(http.StatusOK, installation{
		Name:         "projects/" + project + "/installations/" + req.FID,
		FID:          req.FID,
		RefreshToken: rand.Text(),
		AuthToken:    installationToken{Token: rand.Text(), ExpiresIn: installationLife},
	})
	a.Fields = []zap.Field{zap.String("project", project)}
	return a
}

// newInstallationID returns an ID as clients make it: 17 bytes whose first four bits are 0111, as
// 22 characters.
func newInstallationID() string {
	var b [17]byte
	rand.Read(b[:])
	b[0] = b[0]&0x0f | 0x70
	return base64.RawURLEncoding.EncodeToString(b[:])[:22]
}
