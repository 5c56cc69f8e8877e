//go:build interop

package ccstest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/ccs/card"
	"github.com/openccs/openccs/ccs/ccstest"
)

// CCS 7.1, 7.2, 7.6: curl with the samples of the documentation, byte for byte, against Google's
// host names.
func TestInteropCurlChrome(t *testing.T) {
	s := ccstest.Start(t, ccstest.Disk)
	c, err := admin.Dial(s.Dir())
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.AddApp(t.Context(), s.Sender, "aaaaaaaaaabbbbbbbbbbcccccccccc"))
	_, err = c.CreateOAuth(t.Context(), s.Sender, admin.OAuthRequest{
		ClientID: "291796959215.apps.googleusercontent.com", ClientSecret: "0bKUtXN6ykk7Mj1lQxoBZ2mh", RefreshToken: "1%wMfyZvG",
	})
	require.NoError(t, err)
	// The user exists.
	_, err = c.CreateOAuth(t.Context(), s.Sender, admin.OAuthRequest{User: "08144192009958038014"})
	require.NoError(t, err)

	ca, err := filepath.Abs(s.CAFile())
	require.NoError(t, err)
	out, err := exec.CommandContext(t.Context(), "../../testdata/interop/curl/chrome.sh", strings.TrimPrefix(s.HTTPURL(), "https://"), ca).CombinedOutput()
	require.NoError(t, err, "%s", out)
	const (
		token    = `200 {"access_token":"TOKEN","expires_in":3920,"token_type":"Bearer"}`
		sub      = "Subchannel is invalid (four subchannels available; subchannel value must be 0, 1, 2, or 3)."
		rejected = `401 {"error":{"errors":[{"domain":"global","reason":"authError","message":"Invalid Credentials"}],"code":401,"message":"Invalid Credentials"}}`
	)
	assert.Equal(t, []string{
		"token " + token,
		"first 204",
		"final 204",
		"oauth-scheme 204",
		"token-in-query 204",
		"all-in-query 204",
		`bad-subchannel 400 {"error":{"errors":[{"domain":"global","reason":"invalid","message":"` + sub + `"}],"code":400,"message":"` + sub + `"}}`,
		"misspelt " + token,
		"revoke 200 {}",
		"revoked " + rejected,
	}, lines(string(out)))
	t.Logf("\n%s", out)
}

// lines returns the lines of a text, without blanks at their ends.
func lines(text string) (all []string) {
	for line := range strings.Lines(text) {
		all = append(all, strings.TrimSpace(line))
	}
	return all
}

// The lines of the pages about access tokens and GCM for Chrome, as people paste them beside make
// run.
func TestInteropPages(t *testing.T) {
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "bin/ccs"), "../../cmd/ccs")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	ready := filepath.Join(dir, "ready.json")
	server := exec.Command(filepath.Join(dir, "bin/ccs"), "serve", "--xmpp-listen", "127.0.0.1:0", "--mcs-listen", "127.0.0.1:0",
		"--http-listen", "127.0.0.1:0", "--ready-file", ready)
	server.Dir = dir
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		assert.NoError(t, server.Process.Signal(os.Interrupt))
		assert.NoError(t, server.Wait())
	})
	require.Eventually(t, func() bool { _, err := os.Stat(ready); return err == nil }, patience, 10*time.Millisecond)
	k, err := card.Read(filepath.Join(dir, "data"))
	require.NoError(t, err)
	run := func(script string) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), "sh", "-ec", strings.ReplaceAll(script, "https://127.0.0.1:8443", k.HTTP))
		c.Dir = dir
		out, err := c.Output()
		require.NoError(t, err, "%s", script)
		return string(out)
	}

	assert.Regexp(t, `^\{"access_token":"ya29\.[^"]+","expires_in":3920,"token_type":"Bearer"\}$`, run(blocks(t, "oauth2.md")[0]))

	page := blocks(t, "chrome.md")
	require.Len(t, page, 3)
	assert.Contains(t, run(strings.Replace(page[0], "--chrome-user", "--register-only --chrome-user", 1)), "08144192009958038014/abebbaoboeficpkmpcadfkbblmbjkklf")
	assert.Contains(t, run(page[1]), "204")
	assert.Equal(t, "accepted\n", run(page[2]))
}

// blocks returns the shell commands of a page.
func blocks(t *testing.T, page string) (all []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../docs", page))
	require.NoError(t, err)
	for i, part := range strings.Split(string(b), "\n```sh\n") {
		if block, _, ok := strings.Cut(part, "\n```\n"); ok && i > 0 {
			all = append(all, block)
		}
	}
	require.NotEmpty(t, all)
	return all
}
