package ccstest_test

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/ccs/oauth"
	"github.com/openccs/openccs/ccs/server"
)

// logBuffer has the whole log of a server, down to debug, as JSON.
type logBuffer struct{ *bytes.Buffer }

func newLogBuffer() (ccstest.Option, *logBuffer) {
	b := &logBuffer{new(bytes.Buffer)}
	encoder := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	log := zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(b)), zap.DebugLevel))
	return func(c *server.Config) { c.Logger = log }, b
}

// saslLogin tries one SASL exchange, and returns the server's answer.
func saslLogin(t *testing.T, s *ccstest.Server, domain, mechanism string, fields ...string) string {
	t.Helper()
	c, err := tls.Dial("tcp", s.XMPPAddr(), s.TLS())
	require.NoError(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	response := base64.StdEncoding.EncodeToString([]byte(strings.Join(fields, "\x00")))
	_, err = fmt.Fprintf(c, `<stream:stream to="%s" version="1.0" xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams">`+
		`<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="%s">%s</auth></stream:stream>`, domain, mechanism, response)
	require.NoError(t, err)
	said, err := io.ReadAll(c)
	require.NoError(t, err)
	return string(said)
}

// Clients confuse fields. The log never has a credential, except for a sender ID.
func TestNoCredentialIsLogged(t *testing.T) {
	t.Parallel()
	logging, logs := newLogBuffer()
	s := ccstest.Start(t, ccstest.Disk, logging)
	d := s.Enrol("com.example.app")
	id, securityToken := strconv.FormatUint(d.AndroidID, 10), strconv.FormatUint(d.SecurityToken, 10)
	const domain, deviceDomain, accessToken = "gcm.googleapis.com", "device.gcm.googleapis.com", oauth.Prefix + "notIssuedByUs"
	for name, said := range map[string]string{
		"a wrong key":                        saslLogin(t, s, domain, "PLAIN", "", s.Sender, "AIzaWrong"),
		"name and key swapped":               saslLogin(t, s, domain, "PLAIN", "", s.Key, s.Sender),
		"the key with a domain":              saslLogin(t, s, domain, "PLAIN", "", s.Key+"@"+domain, s.Sender),
		"the key as the domain":              saslLogin(t, s, domain, "PLAIN", "", s.Sender+"@"+s.Key, s.Key),
		"the key as the authzid":             saslLogin(t, s, domain, "PLAIN", s.Key, s.Sender, s.Key),
		"the key before the name":            saslLogin(t, s, domain, "PLAIN", s.Key, s.Sender, ""),
		"a token for a name":                 saslLogin(t, s, domain, "X-OAUTH2", "", accessToken, s.Sender),
		"a wrong token":                      saslLogin(t, s, domain, "X-GOOGLE-TOKEN", "", s.Sender, accessToken),
		"a device's name and token swapped":  saslLogin(t, s, deviceDomain, "PLAIN", "", securityToken, id),
		"a device's token as the authzid":    saslLogin(t, s, deviceDomain, "PLAIN", securityToken, id, securityToken),
		"an app server's key at the devices": saslLogin(t, s, deviceDomain, "PLAIN", "", s.Key, s.Key),
	} {
		assert.Contains(t, said, "<failure", name)
	}
	_, err := ccsclient.Dial(t.Context(), s.XMPPAddr(), s.Key, s.Sender, ccsclient.Options{TLS: s.TLS()})
	assert.Error(t, err)
	swapped := mcsclient.Identity{AndroidID: d.SecurityToken, SecurityToken: d.AndroidID}
	_, err = mcsclient.Dial(t.Context(), s.MCSAddr(), swapped, mcsclient.Options{TLS: s.TLS()})
	assert.Error(t, err)
	_, err = mcsclient.CheckIn(t.Context(), s.HTTP(), s.HTTPURL(), swapped)
	assert.Error(t, err)
	assert.Contains(t, register(t, s, swapped, "app=a&sender="+s.Sender), "Error=")
	assert.Contains(t, register(t, s, d.Identity, "app=a&sender="+s.Key), "token=", "for a sender that is nobody")
	s.Stop()

	for name, secret := range map[string]string{
		"the API key": s.Key, "the wrong key": "AIzaWrong", "the access token": accessToken, "the security token": securityToken,
	} {
		for line := range strings.Lines(logs.String()) {
			assert.NotContains(t, line, secret, name)
		}
	}
	assert.Contains(t, logs.String(), `"sender":"`+s.Sender+`"`, "a sender ID is, to find out who it was")
}

// A JSON reader like JavaScript's changes numbers beyond 2^53.
func TestLogsHaveNoLargeNumbers(t *testing.T) {
	t.Parallel()
	logging, logs := newLogBuffer()
	s := ccstest.Start(t, logging)
	d := s.Enrol("com.example.app")
	_, in := receive(s, d, mcsclient.Options{})
	c := s.AppServer(ccsclient.Options{})
	send(t, c, d.Token, 1)
	in.wait(t, 1)
	s.ConnectXMPP(d, ccsclient.DeviceOptions{}) // takes over the session
	s.Stop()
	var device int
	for line := range strings.Lines(logs.String()) {
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.UseNumber()
		var fields map[string]any
		require.NoError(t, decoder.Decode(&fields), line)
		for name, value := range fields {
			if n, ok := value.(json.Number); ok {
				f, err := n.Float64()
				require.NoError(t, err)
				assert.LessOrEqual(t, f, float64(1<<53), "%s in %s", name, line)
			}
		}
		if fields["device"] == strconv.FormatUint(d.AndroidID, 10) {
			device++
		}
	}
	assert.Greater(t, device, 3, "check-in, registration and logins name the device")
}
