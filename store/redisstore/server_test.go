package redisstore_test

import (
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// startRedis starts a redis-server for the test and returns its address.
func startRedis(t testing.TB, args ...string) string {
	t.Helper()
	addr := freeAddr(t)
	startRedisAt(t, addr, args...)
	return addr
}

// freeAddr is an address that nobody uses, nor the one 10,000 ports above, where the nodes of a cluster talk.
// Both are below those that the system gives out.
func freeAddr(t testing.TB) string {
	t.Helper()
	for range 100 {
		port := 10_000 + mathrand.IntN(12_000)
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		bus, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+10_000))
		require.NoError(t, l.Close())
		if err != nil {
			continue
		}
		require.NoError(t, bus.Close())
		return addr
	}
	t.Fatal("no port is free")
	return ""
}

func startRedisAt(t testing.TB, addr string, args ...string) *os.Process {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	cmd := exec.Command("redis-server", append([]string{
		"--port", port, "--bind", "127.0.0.1", "--dir", dir, "--appendonly", "yes", "--save", "",
	}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
	})
	c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	defer c.Close()
	require.Eventually(t, func() bool { return c.Ping(t.Context()).Err() == nil }, 10*time.Second, 5*time.Millisecond)
	return cmd.Process
}

// startCluster starts three primaries and returns their addresses and processes.
func startCluster(t testing.TB) (addrs []string, processes []*os.Process) {
	t.Helper()
	for range 3 {
		addr := freeAddr(t)
		addrs = append(addrs, addr)
		processes = append(processes, startRedisAt(t, addr,
			"--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no"))
	}
	redisCLI(t, append(append([]string{"--cluster", "create"}, addrs...), "--cluster-yes")...)
	for _, addr := range addrs {
		c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
		defer c.Close()
		require.Eventually(t, func() bool {
			info := c.ClusterInfo(t.Context()).Val()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_ok:16384")
		}, 20*time.Second, 20*time.Millisecond)
	}
	return addrs, processes
}

func redisCLI(t testing.TB, args ...string) {
	t.Helper()
	out, err := exec.Command("redis-cli", args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}
