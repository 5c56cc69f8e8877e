package mcsclient_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/mcsclient"
)

func TestRegisterChannel(t *testing.T) {
	answer, status := `{"channelId":"1/aa"}`, http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		assert.Equal(t, "POST /gcm_for_chrome/v1/channels", r.Method+" "+r.URL.Path)
		assert.Equal(t, "app=aa&user=1", string(body))
		assert.Equal(t, "AidLogin 42:43", r.Header.Get("Authorization"))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	defer s.Close()
	register := func() (string, error) {
		return mcsclient.RegisterChannel(t.Context(), s.Client(), s.URL, mcsclient.Identity{AndroidID: 42, SecurityToken: 43}, "1", "aa")
	}
	got, err := register()
	require.NoError(t, err)
	assert.Equal(t, "1/aa", got)

	answer, status = `{"error":{"errors":[{"domain":"global","reason":"internalError","message":"no"}],"code":500,"message":"no"}}`, 500
	_, err = register()
	var refused *mcsclient.ChannelError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, mcsclient.ChannelError{Status: 500, Reason: "internalError", Message: "no"}, *refused)
	answer = "oops"
	_, err = register()
	require.ErrorContains(t, err, "status 500")
	status = http.StatusOK
	_, err = register()
	require.Error(t, err)
}
