package devcert_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/devcert"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestNamesHoldWhatClientsDial(t *testing.T) {
	names := devcert.Names()
	for _, name := range []string{
		"gcm.googleapis.com", "gcm-xmpp.googleapis.com", "gcm-staging.googleapis.com", "gcm-preprod.googleapis.com",
		"fcm-xmpp.googleapis.com", "mtalk.google.com", "alt1-mtalk.google.com", "alt8-mtalk.google.com",
		"android.clients.google.com", "fcm.googleapis.com", "gcm-http.googleapis.com", "android.googleapis.com", "iid.googleapis.com",
		"oauth2.googleapis.com", "www.googleapis.com", "accounts.google.com", "jmt17.google.com", "localhost", "127.0.0.1", "::1",
	} {
		assert.Contains(t, names, name)
	}
}

func TestNewMakesAPairThatClientsTrust(t *testing.T) {
	pair, err := devcert.New(devcert.Names(), now)
	require.NoError(t, err)
	for _, name := range devcert.Names() {
		_, err := pair.Cert.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: pair.Pool, CurrentTime: now})
		assert.NoError(t, err, name)
	}
	block, rest := pem.Decode(pair.CAPEM)
	assert.Equal(t, "CERTIFICATE", block.Type)
	assert.Empty(t, rest)
}

func TestNewServesTLS(t *testing.T) {
	pair, err := devcert.New([]string{"localhost"}, time.Now())
	require.NoError(t, err)
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		server := tls.Server(theirs, &tls.Config{Certificates: []tls.Certificate{pair.Cert}})
		_, _ = io.WriteString(server, "hello")
		server.Close()
	}()
	client := tls.Client(ours, &tls.Config{RootCAs: pair.Pool, ServerName: "localhost"})
	got, err := io.ReadAll(client)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(got))
}

func TestNewRefusesANameThatIsNone(t *testing.T) {
	_, err := devcert.New([]string{"two words"}, now)
	assert.ErrorContains(t, err, `"two words"`)
}

func TestEnsureKeepsKeysToTheOwner(t *testing.T) {
	dir := t.TempDir()
	f, err := devcert.Ensure(dir, devcert.Names(), now)
	require.NoError(t, err)
	assert.Equal(t, devcert.Files{
		CA:    filepath.Join(dir, "tls", "ca.pem"),
		CAKey: filepath.Join(dir, "tls", "ca-key.pem"),
		Cert:  filepath.Join(dir, "tls", "server.pem"),
		Key:   filepath.Join(dir, "tls", "server-key.pem"),
	}, f)
	for path, mode := range map[string]os.FileMode{f.CA: 0o644, f.Cert: 0o644, f.CAKey: 0o600, f.Key: 0o600} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode().Perm(), path)
	}
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	require.NoError(t, err)
	assert.Len(t, pair.Certificate, 2, "the chain carries the CA")
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	require.True(t, ok)
	assert.Equal(t, elliptic.P256(), key.Curve)
}

func TestEnsureOnALaterStart(t *testing.T) {
	names := []string{"localhost", "127.0.0.1"}
	tests := []struct {
		name       string
		change     func(t *testing.T, f devcert.Files)
		names      []string
		later      time.Duration
		sameServer bool
		wantErr    []string // parts of the message; none for success
	}{
		{name: "everything is reused", later: time.Hour, sameServer: true},
		{name: "fewer names are no reason to reissue", names: []string{"localhost"}, sameServer: true},
		{name: "31 days before its end the certificate stays", later: (397 - 31) * 24 * time.Hour, sameServer: true},
		{name: "29 days before its end it is reissued", later: (397 - 29) * 24 * time.Hour},
		{name: "a missing name is a reason to reissue", names: []string{"localhost", "push.example.org"}},
		{name: "a missing address is a reason to reissue", names: []string{"localhost", "192.0.2.7"}},
		{name: "a missing certificate is reissued", change: remove(func(f devcert.Files) string { return f.Cert })},
		{name: "a missing key is reissued", change: remove(func(f devcert.Files) string { return f.Key })},
		{name: "a damaged certificate is reissued", change: damage(func(f devcert.Files) string { return f.Cert })},
		{
			name:    "a CA without its key is not replaced",
			change:  remove(func(f devcert.Files) string { return f.CAKey }),
			wantErr: []string{"ca-key.pem is missing", "remove "},
		},
		{
			name:    "a damaged CA is not replaced",
			change:  damage(func(f devcert.Files) string { return f.CA }),
			wantErr: []string{"ca.pem does not go with", "put the right file back"},
		},
		{
			name:    "a CA that has ended is not replaced",
			later:   11 * 365 * 24 * time.Hour,
			wantErr: []string{"ca.pem ended on 2036-"},
		},
		{
			name:    "a server certificate is no CA",
			change:  copyServerOverCA,
			wantErr: []string{"ca.pem is not the certificate of a CA"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			f, err := devcert.Ensure(dir, names, now)
			require.NoError(t, err)
			ca, server := read(t, f.CA), read(t, f.Cert)
			if tt.change != nil {
				tt.change(t, f)
			}
			want := names
			if tt.names != nil {
				want = tt.names
			}
			_, err = devcert.Ensure(dir, want, now.Add(tt.later))
			if tt.wantErr != nil {
				for _, part := range tt.wantErr {
					assert.ErrorContains(t, err, part)
				}
				return
			}
			require.NoError(t, err)
			assert.Equal(t, ca, read(t, f.CA))
			assert.Equal(t, tt.sameServer, server == read(t, f.Cert))
			assertServes(t, f, want, now.Add(tt.later))
		})
	}
}

func TestEnsureSaysWhichFolderItCannotMake(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(dir, nil, 0o600))
	_, err := devcert.Ensure(dir, nil, now)
	assert.ErrorContains(t, err, dir)
}

func BenchmarkNew(b *testing.B) {
	names := devcert.Names()
	for b.Loop() {
		if _, err := devcert.New(names, now); err != nil {
			b.Fatal(err)
		}
	}
}

func assertServes(t *testing.T, f devcert.Files, names []string, at time.Time) {
	t.Helper()
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM([]byte(read(t, f.CA))))
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	require.NoError(t, err)
	for _, name := range names {
		_, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: pool, CurrentTime: at})
		assert.NoError(t, err, name)
	}
}

func remove(which func(devcert.Files) string) func(*testing.T, devcert.Files) {
	return func(t *testing.T, f devcert.Files) { require.NoError(t, os.Remove(which(f))) }
}

func damage(which func(devcert.Files) string) func(*testing.T, devcert.Files) {
	return func(t *testing.T, f devcert.Files) {
		require.NoError(t, os.WriteFile(which(f), []byte("no certificate\n"), 0o600))
	}
}

func copyServerOverCA(t *testing.T, f devcert.Files) {
	require.NoError(t, os.WriteFile(f.CA, []byte(read(t, f.Cert)), 0o644))
	require.NoError(t, os.WriteFile(f.CAKey, []byte(read(t, f.Key)), 0o600))
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(b)
}
