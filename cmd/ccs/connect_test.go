package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/card"
)

func withCard(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	c := card.Card{
		XMPP: "[::]:5235", MCS: "127.0.0.1:5228", HTTP: "https://127.0.0.1:8443",
		SenderID: "111", APIKey: "AIzaCard", CAFile: "/card/ca.pem",
	}
	require.NoError(t, c.Write(dir))
	return dir
}

func TestAppServerFlagsComeFromTheCard(t *testing.T) {
	tests := []struct {
		name        string
		given, want appServerFlags
		usage       bool
	}{
		{
			name: "nothing is given",
			want: appServerFlags{XMPP: "localhost:5235", CA: "/card/ca.pem", Sender: "111", Key: "AIzaCard"},
		},
		{
			name:  "another server has another CA",
			given: appServerFlags{XMPP: "push.example.org:5235"},
			want:  appServerFlags{XMPP: "push.example.org:5235", Sender: "111", Key: "AIzaCard"},
		},
		{
			name:  "everything is given",
			given: appServerFlags{XMPP: "a:1", CA: "b.pem", Sender: "222", Key: "k"},
			want:  appServerFlags{XMPP: "a:1", CA: "b.pem", Sender: "222", Key: "k"},
		},
		{
			name:  "another sender and its key",
			given: appServerFlags{Sender: "222", Key: "k"},
			want:  appServerFlags{XMPP: "localhost:5235", CA: "/card/ca.pem", Sender: "222", Key: "k"},
		},
		{name: "another sender without its key", given: appServerFlags{Sender: "222"}, usage: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, dir := tt.given, withCard(t)
			f.Data, tt.want.Data = dir, dir
			err := f.resolve()
			if tt.usage {
				var usage *usageError
				require.ErrorAs(t, err, &usage)
				assert.ErrorContains(t, err, "--sender 222")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.want, f)
		})
	}
}

func TestACardWithoutAProjectHasTheFlagsSayIt(t *testing.T) {
	dir := t.TempDir()
	c := card.Card{XMPP: "127.0.0.1:5235", MCS: "127.0.0.1:5228", HTTP: "https://127.0.0.1:8443"}
	require.NoError(t, c.Write(dir))
	f := appServerFlags{dataFlag: dataFlag{Data: dir}}
	var hinted *hintedError
	require.ErrorAs(t, f.resolve(), &hinted)
	assert.Equal(t, "the connection card has no sender ID", hinted.Error())
	d := deviceCmd{dataFlag: dataFlag{Data: dir}}
	require.ErrorAs(t, d.resolve(), &hinted)
	assert.Contains(t, hinted.hint, "--sender")

	c.SenderID = "111" // and its key was revoked
	require.NoError(t, c.Write(dir))
	require.ErrorAs(t, f.resolve(), &hinted)
	assert.Equal(t, "the connection card has no API key of sender 111", hinted.Error())
	assert.NoError(t, d.resolve())
}

func TestWithoutACardFlagsHaveToSayItAll(t *testing.T) {
	f := appServerFlags{XMPP: "a:1", Sender: "222"}
	f.Data = t.TempDir()
	err := f.resolve()
	var hinted *hintedError
	require.ErrorAs(t, err, &hinted)
	assert.Contains(t, hinted.hint, "give --key")
	assert.NotContains(t, hinted.hint, "--xmpp")

	f.Key = "k"
	assert.NoError(t, f.resolve())
	assert.Empty(t, f.CA, "the system's CAs")
}

func TestDeviceFlagsComeFromTheCard(t *testing.T) {
	c := deviceCmd{App: "org.example.chat"}
	c.Data = withCard(t)
	require.NoError(t, c.resolve())
	assert.Equal(t, "https://127.0.0.1:8443", c.HTTP)
	assert.Equal(t, "127.0.0.1:5228", c.MCS)
	assert.Equal(t, "111", c.Sender)
	assert.Equal(t, "/card/ca.pem", c.CA)
	assert.Equal(t, filepath.Join(c.Data, "device-org.example.chat.json"), c.State)
}

func TestToRegisterNeedsNoConnection(t *testing.T) {
	c := deviceCmd{HTTP: "https://a", Sender: "222", RegisterOnly: true, State: "s.json"}
	c.Data = t.TempDir()
	assert.NoError(t, c.resolve())
	c.RegisterOnly = false
	assert.Error(t, c.resolve())
}

func TestClientTLSSaysWhatIsWrongWithTheCA(t *testing.T) {
	_, err := clientTLS(filepath.Join(t.TempDir(), "absent.pem"))
	assert.ErrorContains(t, err, "absent.pem")

	path := filepath.Join(t.TempDir(), "empty.pem")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err = clientTLS(path)
	assert.ErrorContains(t, err, "no certificate")
}
