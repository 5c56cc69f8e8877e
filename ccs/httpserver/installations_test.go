package httpserver_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// installed is the answer to an installation.
type installed struct {
	Name         string `json:"name"`
	FID          string `json:"fid"`
	RefreshToken string `json:"refreshToken"`
	AuthToken    struct {
		Token     string `json:"token"`
		ExpiresIn string `json:"expiresIn"`
	} `json:"authToken"`
}

func TestInstallation(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		fid        string // "" for one made by the server
	}{
		{name: "the client has made an ID", body: `{"fid":"fAbcdefghijklmnopqrstu","appId":"1:2:android:3","authVersion":"FIS_v2","sdkVersion":"a:17.0.0"}`, fid: "fAbcdefghijklmnopqrstu"},
		{name: "the ID is of the other base64 alphabet and a character too long", body: `{"fid":"f+/bcdefghijklmnopqrstu"}`, fid: "f+/bcdefghijklmnopqrstu"},
		{name: "the client leaves the ID to the server", body: `{"appId":"1:2:web:3"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// One of the clients sends this type (DEV 12).
			resp := request(t, nil, http.MethodPost, "/v1/projects/my-project/installations", tt.body, "Content-Type", "text/plain")
			require.Equal(t, http.StatusOK, resp.StatusCode)
			assert.Equal(t, "application/json", resp.Header.Get("Content-Type"))
			var got installed
			require.NoError(t, json.Unmarshal([]byte(text(t, resp)), &got))
			if tt.fid != "" {
				assert.Equal(t, tt.fid, got.FID)
			}
			assert.Regexp(t, "^[A-Za-z0-9+/_-]{22,23}$", got.FID)
			assert.Equal(t, "projects/my-project/installations/"+got.FID, got.Name)
			assert.NotEmpty(t, got.RefreshToken)
			assert.NotEmpty(t, got.AuthToken.Token)
			assert.Equal(t, "604800s", got.AuthToken.ExpiresIn)
		})
	}
}

func TestInstallationRefused(t *testing.T) {
	for _, tt := range []struct{ name, body string }{
		{name: "no JSON", body: "fid=x"},
		{name: "an ID that is too long", body: `{"fid":"` + strings.Repeat("x", 65) + `"}`},
		{name: "more than anybody sends", body: strings.Repeat(" ", 16<<10) + `{}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp := request(t, nil, http.MethodPost, "/v1/projects/p/installations", tt.body)
			assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
			assert.JSONEq(t, `{"error":{"code":400,"message":"Request contains an invalid argument.","status":"INVALID_ARGUMENT"}}`, text(t, resp))
		})
	}
}
