package redisstore_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

// open opens a store and closes it with the test.
func open(t *testing.T, url string, o redisstore.Options) *redisstore.Store {
	t.Helper()
	s, err := redisstore.Open(t.Context(), url, o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s
}

// refused returns the error of opening, which must come soon and contain no secret.
func refused(t *testing.T, url string, o redisstore.Options) error {
	t.Helper()
	began := time.Now()
	_, err := redisstore.Open(t.Context(), url, o)
	require.Error(t, err)
	assert.Less(t, time.Since(began), 8*time.Second)
	assert.NotContains(t, err.Error(), "secret")
	assert.NotContains(t, err.Error(), "\n")
	return err
}

func TestOpenFindsOutWhatIsThere(t *testing.T) {
	s := redistest.Single(t)
	host, port, err := net.SplitHostPort(s.Addr)
	require.NoError(t, err)
	s.Do("ACL", "SETUSER", "push", "on", ">secret", "~*", "+@all")
	with := func(user string) string { return "redis://" + user + "@" + s.Addr }
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { silent.Close() })
	replica := redistest.Replica(t, s)

	open(t, with("push:secret"), redisstore.Options{})
	for _, tt := range []struct{ name, url, want string }{
		{"a wrong password", with("push:wrong-secret"), "are user and password right?"},
		{"an unknown user", with("nobody:secret"), "are user and password right?"},
		{"no Redis", "redis://" + net.JoinHostPort(host, strconv.Itoa(redistest.Port())), "is Redis running there?"},
		{"no such host", "redis://no-such-host.invalid:" + port, "is the host name right?"},
		{"a web server", "redis://" + strings.TrimPrefix(web.URL, "http://"), "is it Redis?"},
		{"a server that says nothing", "redis://" + silent.Addr().String(), "nobody answers there"},
		{"no such database", "redis://" + s.Addr + "/99", "Redis has no database 99"},
		{"no cluster", "redis-cluster://" + s.Addr, "this Redis is not part of a cluster: write redis://"},
		{"a replica", "redis://" + replica.Addr, "this Redis is a replica"},
		{"TLS where there is none", "rediss://" + s.Addr, "can it be reached, and does it take TLS?"},
		{"TLS at a web server without", "rediss://" + strings.TrimPrefix(web.URL, "http://"), "is it a port without TLS?"},
		{"no sentinel", "redis-sentinel://" + s.Addr + "/main", "do sentinels run there"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.ErrorContains(t, refused(t, tt.url, redisstore.Options{}), tt.want)
		})
	}
}

func TestOpenWithoutThePasswordOfAll(t *testing.T) {
	s := redistest.Single(t, "--requirepass", "secret")
	assert.ErrorContains(t, refused(t, "redis://"+s.Addr, redisstore.Options{}), "Redis wants a password: write redis://[user:password@]host")
	assert.ErrorContains(t, refused(t, "redis://:wrong@"+s.Addr, redisstore.Options{}), "are user and password right?")
	open(t, "redis://:secret@"+s.Addr, redisstore.Options{})
}

func TestOpenCluster(t *testing.T) {
	c := redistest.Cluster(t, 0)
	open(t, c.URL("a:"), redisstore.Options{})
	one := c.Primaries[1].Addr
	open(t, "redis-cluster://"+one, redisstore.Options{})
	assert.ErrorContains(t, refused(t, "redis://"+one, redisstore.Options{}), "part of a cluster: write redis-cluster://")

	c.Primaries[2].Do("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
	assert.ErrorContains(t, refused(t, c.URL("a:"), redisstore.Options{}), c.Primaries[2].Addr+" throws messages away")
}

func TestOpenOverTLS(t *testing.T) {
	ca, key := certificate(t)
	port := strconv.Itoa(redistest.Port())
	redistest.Single(t, "--tls-port", port, "--tls-cert-file", ca, "--tls-key-file", key, "--tls-ca-cert-file", ca, "--tls-auth-clients", "no")
	addr := "localhost:" + port
	open(t, "rediss://"+addr+"?ca="+url.QueryEscape(ca), redisstore.Options{})
	assert.ErrorContains(t, refused(t, "rediss://"+addr, redisstore.Options{}), "give the CA of Redis with ?ca=FILE")
	assert.ErrorContains(t, refused(t, "rediss://127.0.0.1:"+port+"?ca="+ca, redisstore.Options{}), "as the certificate of Redis has it")
	assert.ErrorContains(t, refused(t, "redis://"+addr, redisstore.Options{}), "if it takes only TLS, write rediss://")
}

// certificate makes a self-signed certificate for localhost, and its key.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return file
	}
	return write("cert.pem", "CERTIFICATE", cert), write("key.pem", "PRIVATE KEY", der)
}

func TestOpenThroughSentinels(t *testing.T) {
	primary := redistest.Single(t)
	sentinel := redistest.Sentinel(t, "main", primary)
	s := open(t, "redis-sentinel://"+sentinel.Addr+"/main/3?prefix=a:", redisstore.Options{})
	_, err := s.Secret(t.Context(), "token", []byte("x"))
	require.NoError(t, err)
	assert.Contains(t, primary.Do("INFO", "keyspace"), "db3:keys=1")
	assert.ErrorContains(t, refused(t, "redis-sentinel://"+sentinel.Addr+"/other", redisstore.Options{}), "do they know other?")
	assert.ErrorContains(t, refused(t, "redis://"+sentinel.Addr, redisstore.Options{}), "this is a sentinel: write redis-sentinel://")
}

func TestSentinelsNameTheNextPrimary(t *testing.T) {
	primary := redistest.Single(t)
	replica := redistest.Replica(t, primary)
	sentinel := redistest.Sentinel(t, "main", primary)
	require.Eventually(t, func() bool {
		return len(sentinel.Do("SENTINEL", "REPLICAS", "main").([]any)) == 1
	}, 20*time.Second, 50*time.Millisecond)
	s := open(t, "redis-sentinel://"+sentinel.Addr+"/main?prefix=a:", redisstore.Options{Retry: time.Minute, Wait: 1})
	require.NoError(t, s.CreateProject(t.Context(), &store.Project{Sender: "1"}))
	primary.Kill()
	p, err := s.Projects(t.Context())
	require.NoError(t, err)
	assert.Len(t, p, 1)
	assert.Contains(t, replica.Do("INFO", "replication"), "role:master")
}

func TestClosedStoreIsClosed(t *testing.T) {
	s, err := redisstore.Open(t.Context(), redistest.Single(t).URL("a:"), redisstore.Options{})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	_, err = s.Projects(t.Context())
	require.ErrorIs(t, err, store.ErrClosed)
}
