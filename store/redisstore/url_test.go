package redisstore_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store/redisstore"
)

func TestGoodURLs(t *testing.T) {
	for _, url := range []string{
		"redis://localhost",
		"redis://localhost:6379",
		"redis://:secret@localhost:6379/3?prefix=push:",
		"redis://user:s%2Fcret@[::1]:6379/",
		"rediss://redis.example.com",
		"redis-sentinel://a:26379,b:26379,c/main",
		"redis-sentinel://user:pw@a/main/2?tls=true&sentinel_user=u&sentinel_password=p",
		"redis-cluster://a:1,b:2,[::1]:3?prefix=a/b",
		"rediss-cluster://a:1,b:2",
	} {
		assert.NoError(t, redisstore.Check(url), url)
	}
}

func TestBadURLs(t *testing.T) {
	noPEM := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(noPEM, []byte("no certificate"), 0o600))
	tests := []struct{ name, url, problem, mend string }{
		{"no scheme", "localhost:6379", "not a Redis URL", "write redis://"},
		{"another scheme", "http://localhost", "not a Redis URL", "write redis://"},
		{"one slash", "redis:/localhost", "not a Redis URL", "write redis://"},
		{"no host", "redis://", "no host", "write redis://"},
		{"an empty host among others", "redis-cluster://a:1,,b:2", "no host", "write redis-cluster://"},
		{"a port that is no number", "redis://localhost:redis", "no host, or a port", "write redis://"},
		{"a password that is not escaped", "redis://:s/ecret@localhost", "a password with any of", "write redis://"},
		{"a wrong escape", "redis://:secret%@localhost", "a password with any of", "write redis://"},
		{"several hosts", "redis://a:1,b:2", "several hosts", "write redis://"},
		{"a database that is no number", "redis://localhost/main", "the database is not a number", "write redis://"},
		{"a database in a cluster", "redis-cluster://localhost/1", "a cluster has no numbered databases", "write redis-cluster://"},
		{"no master", "redis-sentinel://localhost:26379", "the name that the sentinels know", "/master-name"},
		{"an unknown setting", "redis://localhost?timeout=3s", "?timeout= is unknown here: there are prefix", "write redis://"},
		{"a setting twice", "redis://localhost?prefix=a&prefix=b", "?prefix= is given twice", "write redis://"},
		{"braces in the prefix", "redis://localhost?prefix=%7Ba%7D", "the prefix has more than letters", "write redis://"},
		{"a CA without TLS", "redis-sentinel://localhost/main?ca=x", "?ca= has a meaning only with TLS", "write redis-sentinel://"},
		{"TLS, maybe", "redis-sentinel://localhost/main?tls=maybe", "neither true nor false", "write redis-sentinel://"},
		{"a CA that is not there", "rediss://localhost?ca=/no/such/file", "no such file", "write rediss://"},
		{"a CA that is none", "rediss://localhost?ca=" + noPEM, "no certificate in", "write rediss://"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var bad *redisstore.URLError
			require.ErrorAs(t, redisstore.Check(tt.url), &bad)
			assert.Contains(t, bad.Problem, tt.problem)
			assert.Contains(t, bad.Mend, tt.mend)
			_, err := redisstore.Open(t.Context(), tt.url, redisstore.Options{})
			require.ErrorContains(t, err, tt.problem)
			assert.NotContains(t, err.Error(), "ecret")
		})
	}
}

func TestRedacted(t *testing.T) {
	for url, want := range map[string]string{
		"redis://localhost:6379/3":                                 "redis://localhost:6379/3",
		"redis://:secret@localhost":                                "redis://:xxxxx@localhost:6379",
		"redis://user:secret@localhost/3?prefix=a:":                "redis://user:xxxxx@localhost:6379/3?prefix=a:",
		"redis-sentinel://a,b/main/2?sentinel_password=secret":     "redis-sentinel://a:26379,b:26379/main/2?sentinel_password=xxxxx",
		"redis-sentinel://user@a/main?tls=true&sentinel_user=user": "redis-sentinel://user@a:26379/main?tls=true&sentinel_user=user",
		"redis://:sec/ret@localhost":                               "redis://...",
		"redis:/localhost":                                         "redis:/localhost",
	} {
		assert.Equal(t, want, redisstore.Redacted(url))
	}
}
