package card_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/card"
)

func sample() *card.Card {
	return &card.Card{
		XMPP: "127.0.0.1:5235", MCS: "127.0.0.1:5228", HTTP: "https://127.0.0.1:8443",
		SenderID: "123456789012", APIKey: "AIzaSample", CAFile: "data/tls/ca.pem",
		PID: 123, Started: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}
}

func TestWriteAndReadGiveTheSameCard(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, sample().Write(dir))
	got, err := card.Read(dir)
	require.NoError(t, err)
	assert.Equal(t, sample(), got)

	info, err := os.Stat(card.Path(dir))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode(), "the card holds a key")
}

func TestReadSaysWhatIsWrong(t *testing.T) {
	t.Run("no card", func(t *testing.T) {
		dir := t.TempDir()
		_, err := card.Read(dir)
		assert.ErrorIs(t, err, card.ErrNoCard)
		assert.ErrorContains(t, err, dir)
	})
	t.Run("a damaged card", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(card.Path(dir), []byte("{"), 0o600))
		_, err := card.Read(dir)
		assert.NotErrorIs(t, err, card.ErrNoCard)
		assert.ErrorContains(t, err, card.Path(dir))
	})
}

func TestWriteSaysWhereItCannot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "absent")
	assert.ErrorContains(t, sample().Write(dir), dir)
}

func TestRenderShowsWhatIsOnAndWhatToPaste(t *testing.T) {
	var b strings.Builder
	require.NoError(t, sample().Render(&b, card.RenderOptions{Program: "bin/ccs", Path: "data/card.json", ShowKey: true}))
	assert.Equal(t, `Connection card

  App servers (XMPP)          127.0.0.1:5235
  Devices (MCS)               127.0.0.1:5228
  HTTP (send, check-in)       https://127.0.0.1:8443
  Sender ID                   123456789012
  API key                     in data/card.json
  CA file                     data/tls/ca.pem

In a second terminal:

  bin/ccs device
  bin/ccs send TOKEN key=value
  bin/ccs listen
  curl --cacert data/tls/ca.pem -H 'Authorization: key=KEY' -d registration_id=TOKEN -d data.key=value https://127.0.0.1:8443/gcm/send

`, b.String())
}

func TestRenderShowsAKeyOnceAndToAPersonOnly(t *testing.T) {
	tests := []struct {
		name    string
		change  func(c *card.Card)
		showKey bool
		want    []string
	}{
		{"new, to a person", func(c *card.Card) { c.NewKey = true }, true, []string{"API key                     AIzaSample\n"}},
		{"new, into a pipe", func(c *card.Card) { c.NewKey = true }, false, []string{"API key                     in /srv/ccs/card.json\n"}},
		{"old, to a person", func(*card.Card) {}, true, []string{"API key                     in /srv/ccs/card.json\n"}},
		{"revoked", func(c *card.Card) { c.APIKey = "" }, true, []string{
			"Sender ID                   123456789012\n", "API key                     none on this card; add one with: ccs project key add --data /srv/ccs 123456789012\n",
		}},
		{"no project", func(c *card.Card) { c.SenderID, c.APIKey = "", "" }, true, []string{
			"Sender ID                   none on this card; see: ccs project list --data /srv/ccs; or: ccs project create --data /srv/ccs\n",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := sample()
			tt.change(c)
			var b strings.Builder
			require.NoError(t, c.Render(&b, card.RenderOptions{
				Program: "ccs", Flags: []string{"--data", "/srv/ccs"}, Path: "/srv/ccs/card.json", ShowKey: tt.showKey,
			}))
			for _, want := range tt.want {
				assert.Contains(t, b.String(), want)
			}
			if tt.name != "new, to a person" {
				assert.NotContains(t, b.String(), "AIzaSample")
			}
		})
	}
}

func TestRenderQuotesForTheShell(t *testing.T) {
	tests := []struct{ name, dir, want string }{
		{name: "a plain path stays as it is", dir: "/srv/ccs-1", want: "--data /srv/ccs-1"},
		{name: "a space is quoted", dir: "my data", want: "--data 'my data'"},
		{name: "a quote is quoted", dir: "it's", want: `--data 'it'\''s'`},
		{name: "an empty word is quoted", dir: "", want: "--data ''"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			require.NoError(t, sample().Render(&b, card.RenderOptions{Program: "ccs", Flags: []string{"--data", tt.dir}}))
			assert.Contains(t, b.String(), "ccs send "+tt.want+" TOKEN key=value\n")
		})
	}
}

func TestDialAddrReachesListenersOnEveryInterface(t *testing.T) {
	tests := []struct{ name, listen, want string }{
		{name: "every IPv6 interface", listen: "[::]:5235", want: "localhost:5235"},
		{name: "every IPv4 interface", listen: "0.0.0.0:5235", want: "localhost:5235"},
		{name: "no host", listen: ":5235", want: "localhost:5235"},
		{name: "one interface", listen: "192.0.2.1:5235", want: "192.0.2.1:5235"},
		{name: "a name", listen: "push.example.org:5235", want: "push.example.org:5235"},
		{name: "a listener that is off", listen: "", want: ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { assert.Equal(t, tt.want, card.DialAddr(tt.listen)) })
	}
}
