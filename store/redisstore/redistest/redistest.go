// Package redistest runs real Redis servers for tests: a single one, a cluster, or one that a
// sentinel watches. Each has its own directory, is synced each second, and ends with the test.
// Faults are signals to the processes.
//
// A single server starts in a fraction of a second, a cluster in one or two. So tests share them
// and give each store its own prefix.
package redistest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

const (
	program = "redis-server"
	host    = "127.0.0.1"

	// Ports are below those that systems assign automatically, so that no other program gets a
	// server's port while the server is down. The same holds for the ports busOffset above them, on
	// which the servers of a cluster communicate.
	firstPort, lastPort = 10_000, 22_000
	busOffset           = 10_000

	patience   = 10 * time.Second // for a server to start, and for a cluster to agree
	startTries = 5                // another process may take a port first
	pollEvery  = 2 * time.Millisecond
)

// Server is a process of Redis. Its methods fail the test if they cannot do their work.
type Server struct {
	Addr string // host:port

	t     testing.TB
	dir   string
	args  []string
	cmd   *exec.Cmd
	ended chan struct{} // closed after the process has ended
}

// Single starts a server, with further flags such as "--maxmemory-policy", "allkeys-lru".
func Single(t testing.TB, flags ...string) *Server {
	t.Helper()
	return start(t, nil, append([]string{"--appendonly", "yes", "--save", "", "--repl-diskless-sync-delay", "0"}, flags...)...)
}

// start starts a process and waits until it answers. Arguments before the flags may name a file.
func start(t testing.TB, before []string, flags ...string) *Server {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatal("redis-server is not in PATH; on Debian install it with: apt-get install redis-server")
	}
	s := &Server{t: t, dir: t.TempDir()}
	var errs []error
	for range startTries {
		port := strconv.Itoa(Port())
		s.Addr = net.JoinHostPort(host, port)
		s.args = append(append(before, "--bind", host, "--port", port, "--dir", s.dir), flags...)
		err := s.run()
		if err == nil {
			t.Cleanup(s.Kill)
			return s
		}
		errs = append(errs, err)
	}
	t.Fatal(errors.Join(errs...))
	return nil
}

// Port returns a free port, whose cluster bus port is free too.
func Port() int {
	for {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if free(port) && free(port+busOffset) {
			return port
		}
	}
}

func free(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	return err == nil && l.Close() == nil
}

// run starts the process and waits until it has loaded its data and answers.
func (s *Server) run() error {
	name := filepath.Join(s.dir, "output")
	output, err := os.Create(name)
	if err != nil {
		return err
	}
	defer output.Close()
	cmd, ended := exec.Command(program, s.args...), make(chan struct{})
	cmd.Stdout, cmd.Stderr = output, output
	dieWithTest(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it was killed, or its output says why it ended
	}()
	s.cmd, s.ended = cmd, ended
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		select {
		case <-ended:
			said, err := os.ReadFile(name)
			return errors.Join(fmt.Errorf("%s %s:\n%s", program, strings.Join(s.args, " "), said), err)
		case <-time.After(pollEvery):
			if s.answers() {
				return nil
			}
		}
	}
	s.Kill()
	return fmt.Errorf("%s %s: it does not answer", program, strings.Join(s.args, " "))
}

// answers reports whether the server answers commands, even if it refuses them.
func (s *Server) answers() bool {
	conn, err := net.DialTimeout("tcp", s.Addr, patience)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && (strings.HasPrefix(line, "+PONG") || strings.HasPrefix(line, "-NOAUTH"))
}

// URL returns the store URL for a prefix.
func (s *Server) URL(prefix string) string { return "redis://" + s.Addr + "?prefix=" + prefix }

// Kill ends the process like kill -9. It does nothing for a server that has ended.
func (s *Server) Kill() {
	s.signal(syscall.SIGKILL)
	<-s.ended
}

// Restart starts the process again after Kill, with the same directory and port.
func (s *Server) Restart() {
	s.t.Helper()
	require.NoError(s.t, s.run())
}

// Pause stops the process until Resume. Its connections stay open and get no answers.
func (s *Server) Pause() { s.signal(signalStop) }

// Resume continues the process.
func (s *Server) Resume() { s.signal(signalContinue) }

// signal signals the process unless it has ended. os.Process knows of the end from Wait, so no
// other process with its pid gets the signal.
func (s *Server) signal(sig syscall.Signal) {
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Errorf("signal redis-server: %v", err)
	}
}

// Do sends the server a command, as its default user, and returns the answer.
func (s *Server) Do(args ...any) any {
	s.t.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.Addr, Protocol: 2, DisableIdentity: true})
	defer c.Close()
	reply, err := c.Do(context.Background(), args...).Result()
	require.NoError(s.t, err, "%v", args)
	return reply
}

// CPU returns the seconds of processor time that the process has used.
func (s *Server) CPU() (seconds float64) {
	s.t.Helper()
	for line := range strings.Lines(s.Do("INFO", "cpu").(string)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_user" || name == "used_cpu_sys" {
			used, err := strconv.ParseFloat(value, 64)
			require.NoError(s.t, err)
			seconds += used
		}
	}
	return seconds
}
