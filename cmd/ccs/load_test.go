package main

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/card"
	"github.com/openccs/openccs/ccs/load"
	"github.com/openccs/openccs/stanza"
)

// process starts ccs serve in its own process, which can be killed.
func process(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	args := []string{"serve", "--data", dir, "--log-level", "error"}
	listen := []string{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"}
	if old, err := card.Read(dir); err == nil { // listen where the clients expect the server
		listen = []string{old.XMPP, old.MCS, strings.TrimPrefix(old.HTTP, "https://")}
	}
	ready := filepath.Join(dir, "ready.json")
	args = append(args, "--xmpp-listen", listen[0], "--mcs-listen", listen[1], "--http-listen", listen[2], "--ready-file", ready)
	p := exec.Command(os.Args[0], args...)
	p.Env = append(os.Environ(), asProgram+"=1")
	p.Stderr = os.Stderr
	require.NoError(t, p.Start())
	t.Cleanup(func() {
		p.Process.Kill()
		p.Wait()
	})
	require.Eventually(t, func() bool {
		_, err := os.Stat(ready)
		return err == nil
	}, patience, time.Millisecond)
	return p
}

// The contract for scripts is one object, with its figures at the top level.
func TestLoadPrintsOneObject(t *testing.T) {
	dir := t.TempDir()
	process(t, dir)
	got := ccs(t, "load", "--data", dir, "--connections", "2", "--devices", "3", "--in-flight", "100", "--rate", "2000",
		"--ramp", "100ms", "--duration", "1s", "--payload", "200", "--upstream", "100", "--json")
	require.Equal(t, exitDone, got.code, got.stderr)
	require.Equal(t, 1, strings.Count(got.stdout, "\n"))
	m := fields(t, got.stdout)
	for _, name := range []string{
		"sent", "acked", "nacked", "delivered", "lost", "duplicated", "out_of_order", "acked_per_s", "delivered_per_s", "server_cpu_us_per_message",
	} {
		assert.IsType(t, 0.0, m[name], name)
	}
	for _, name := range []string{"ack_ms", "delivery_ms"} {
		for _, p := range []string{"p50", "p99", "p999", "max"} {
			assert.Positive(t, m[name].(map[string]any)[p], "%s %s", name, p)
		}
	}
	assert.Positive(t, m["sent"])
	assert.Equal(t, m["sent"], m["delivered"])
	assert.Zero(t, m["lost"])
	assert.Contains(t, got.stderr, "ccs: 0:01", "a line a second goes to stderr")
}

// A server that is killed twice loses no acknowledged message, and ccs load can prove it.
func TestLoadCountsThroughCrashes(t *testing.T) {
	dir := t.TempDir()
	server := process(t, dir)
	run := background(t, "load", "--data", dir, "--connections", "2", "--devices", "5", "--in-flight", "200", "--duration", "1h", "--json", "--ramp", "0s")
	seen := 0
	everybodyIsThere := func() {
		require.Eventually(t, func() bool {
			said := run.stderr.String()[seen:]
			return strings.Contains(said, "measure  devices 5 ")
		}, patience, 10*time.Millisecond)
		seen = len(run.stderr.String())
	}
	for range 2 {
		everybodyIsThere()
		require.NoError(t, os.Remove(filepath.Join(dir, "ready.json")))
		require.NoError(t, server.Process.Kill())
		server.Wait()
		server = process(t, dir)
	}
	everybodyIsThere()
	run.stop()
	require.Equal(t, exitDone, run.wait(t), run.stderr)
	var r load.Result
	require.NoError(t, json.Unmarshal([]byte(run.stdout.String()), &r))
	assert.True(t, r.Interrupted)
	assert.Greater(t, r.Acked, int64(1000), "there was traffic worth the name")
	assert.GreaterOrEqual(t, r.Reconnects, int64(2*(2+5)))
	// App servers that reconnect before the devices fill their backlogs on a busy machine. Only
	// those messages may be refused.
	assert.Equal(t, r.Sent, r.Acked+r.Nacks[string(stanza.DeviceMessageRateExceeded)])
	assert.Equal(t, r.Acked, r.Delivered)
	assert.Zero(t, r.Lost+r.Unanswered+r.Untracked+r.OutOfOrder)
	assert.LessOrEqual(t, r.Duplicated, r.Resent, "only what the crash left without an answer may come twice")
	assert.Nil(t, r.ServerCPU, "no one process has served it all")
	t.Logf("sent %d, resent %d, duplicated %d", r.Sent, r.Resent, r.Duplicated)
}

func TestLoadExitCodes(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir)
	load := func(args ...string) result {
		return ccs(t, append([]string{"load", "--data", dir, "--duration", "100ms", "--ramp", "0s"}, args...)...)
	}
	t.Run("what was expected", func(t *testing.T) {
		got := load("--expect", "lost=0,acked>0")
		assert.Equal(t, exitDone, got.code, got.stderr)
		assert.Contains(t, got.stdout, "Downstream")
	})
	t.Run("a threshold that is missed", func(t *testing.T) {
		got := load("--expect", "ack.p50<1ns,lost=0")
		assert.Equal(t, exitMissed, got.code)
		assert.Contains(t, got.stderr, "ccs: missed: ack.p50<1ns: it is ")
		assert.NotContains(t, got.stderr, "lost=0")
		assert.Contains(t, got.stdout, "Downstream", "the report comes all the same")
	})
	t.Run("an expectation that means nothing", func(t *testing.T) {
		got := load("--expect", "luck>1")
		assert.Equal(t, exitUsage, got.code)
		assert.Contains(t, got.stderr, "luck")
	})
	t.Run("a plan that makes no sense", func(t *testing.T) {
		got := load("--devices", "0", "--receipts", "200")
		assert.Equal(t, exitUsage, got.code)
		assert.Contains(t, got.stderr, "--devices 0")
		assert.Contains(t, got.stderr, "--receipts 200")
	})
	t.Run("somebody else's server", func(t *testing.T) {
		got := load("--xmpp", "192.0.2.1:5235", "--sender", "1", "--key", "AIza", "--mcs", "192.0.2.1:5228", "--http", "https://192.0.2.1")
		assert.Equal(t, exitUsage, got.code)
		assert.Contains(t, got.stderr, "--i-own-this-server")
	})
	t.Run("a key that is wrong", func(t *testing.T) {
		got := load("--key", "AIzaWrong")
		assert.Equal(t, exitFailed, got.code)
		assert.Contains(t, got.stderr, "not-authorized")
	})
}

// Projects for many senders are made once and kept. Without a server that makes them they come from
// a file.
func TestLoadWithManySenders(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir)
	short := []string{"--duration", "100ms", "--ramp", "0s", "--senders", "3"}
	for range 2 {
		got := ccs(t, append([]string{"load", "--data", dir}, short...)...)
		require.Equal(t, exitDone, got.code, got.stderr)
	}
	kept := filepath.Join(dir, "load-senders.json")
	b, err := os.ReadFile(kept)
	require.NoError(t, err)
	var list []load.Credentials
	require.NoError(t, json.Unmarshal(b, &list))
	assert.Len(t, list, 2, "and the one on the card")
	info, err := os.Stat(kept)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	k, err := card.Read(dir)
	require.NoError(t, err)
	elsewhere := []string{"load", "--data", t.TempDir(), "--xmpp", k.XMPP, "--mcs", k.MCS, "--http", k.HTTP, "--ca", k.CAFile, "--sender", k.SenderID, "--key", k.APIKey}
	got := ccs(t, append(append(elsewhere, short...), "--credentials", kept)...)
	assert.Equal(t, exitDone, got.code, got.stderr)
	got = ccs(t, append(elsewhere, short...)...)
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.stderr, "--credentials")
}

// Devices that speak XMPP need no address for MCS.
func TestLoadWithDevicesOverXMPP(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir)
	k, err := card.Read(dir)
	require.NoError(t, err)
	got := ccs(t, "load", "--data", t.TempDir(), "--xmpp", k.XMPP, "--http", k.HTTP, "--ca", k.CAFile, "--sender", k.SenderID, "--key", k.APIKey,
		"--device-protocol", "xmpp", "--duration", "100ms", "--ramp", "0s", "--expect", "lost=0,delivered>0,logins=4")
	assert.Equal(t, exitDone, got.code, got.stderr)
	assert.Contains(t, got.stdout, "4 devices over XMPP")
}

func TestLoadDiff(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.json"), filepath.Join(dir, "b.json")
	require.NoError(t, os.WriteFile(a, []byte(`{"run":"one","sent":100,"lost":0,"ack_ms":{"p99":4}}`), 0o600))
	require.NoError(t, os.WriteFile(b, []byte(`{"run":"two","sent":150,"lost":1,"ack_ms":{"p99":3}}`), 0o600))
	got := ccs(t, "load", "diff", a, b)
	require.Equal(t, exitDone, got.code, got.stderr)
	for _, part := range []string{"one", "two", "+50.0%", "-25.0%"} {
		assert.Contains(t, got.stdout, part)
	}
	require.NoError(t, os.WriteFile(b, []byte("Downstream sent 100"), 0o600))
	got = ccs(t, "load", "diff", a, b)
	assert.Equal(t, exitFailed, got.code)
	assert.Contains(t, got.stderr, "--json")
}

// On a terminal one line is redrawn: a bar for each step, with its state.
func TestLoadLive(t *testing.T) {
	var stderr lines
	live := &loadLive{out: &output{stderr: &stderr}, total: 10 * time.Second}
	require.NoError(t, live.Progress("connecting devices", 5, 20))
	assert.Contains(t, stderr.String(), "connecting devices 5/20")
	assert.Contains(t, stderr.String(), "25%")
	require.NoError(t, live.Sample(&load.Sample{At: 5, Seconds: 1, Acked: 1500, Phase: load.PhaseMeasure}))
	assert.Contains(t, stderr.String(), "acked 1.5k/s")
	assert.Contains(t, stderr.String(), "50%")
	require.NoError(t, live.Sample(&load.Sample{At: 12, Seconds: 2, Phase: load.PhaseDrain}), "a drain goes beyond the bar")
	require.NoError(t, live.Result(nil))
	assert.NotContains(t, stderr.String(), "\n")
	assert.True(t, strings.HasSuffix(stderr.String(), "\r\x1b[K"), "and the line goes in the end")
}

// The requested files exist in the end.
func TestLoadWritesReports(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir)
	page, log := filepath.Join(dir, "report.html"), filepath.Join(dir, "load.hlog")
	got := ccs(t, "load", "--data", dir, "--duration", "100ms", "--ramp", "0s", "--html", page, "--hdr-log", log)
	require.Equal(t, exitDone, got.code, got.stderr)
	for file, part := range map[string]string{page: "<svg", log: "Histogram log format"} {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.True(t, strings.Contains(string(b), part), file)
	}
	got = ccs(t, "load", "--data", dir, "--html", filepath.Join(dir, "absent", "report.html"))
	assert.Equal(t, exitFailed, got.code)
	assert.Contains(t, got.stderr, "--html")
}

// An existing report stays until a result replaces it.
func TestLoadKeepsReportsWithoutAResult(t *testing.T) {
	dir := t.TempDir()
	page, log := filepath.Join(dir, "report.html"), filepath.Join(dir, "load.hlog")
	for _, file := range []string{page, log} {
		require.NoError(t, os.WriteFile(file, []byte("of the last run"), 0o600))
	}
	untouched := func(t *testing.T) {
		t.Helper()
		for _, file := range []string{page, log} {
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Equal(t, "of the last run", string(b), file)
		}
		hidden, err := filepath.Glob(filepath.Join(dir, ".*"))
		require.NoError(t, err)
		assert.Empty(t, hidden, "nothing is left beside them")
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := closed.Addr().String()
	load := []string{"load", "--data", t.TempDir(), "--xmpp", addr, "--mcs", addr, "--http", "https://" + addr, "--sender", "1", "--key", "AIza", "--html", page, "--hdr-log", log}
	t.Run("interrupted before it has begun", func(t *testing.T) {
		run := background(t, load...) // the listener accepts the connection and never answers
		conn, err := closed.Accept()
		require.NoError(t, err)
		defer conn.Close()
		run.stop()
		assert.NotEqual(t, exitDone, run.wait(t))
		untouched(t)
	})
	require.NoError(t, closed.Close())
	t.Run("no server", func(t *testing.T) {
		got := ccs(t, load...)
		assert.Equal(t, exitFailed, got.code)
		untouched(t)
	})
	t.Run("a report that cannot be written is refused before the run", func(t *testing.T) {
		got := ccs(t, append(load[:len(load)-1:len(load)-1], filepath.Join(dir, "absent", "load.hlog"))...)
		assert.Equal(t, exitFailed, got.code)
		assert.Contains(t, got.stderr, "--hdr-log")
		untouched(t)
		got = ccs(t, append(load, "--devices-file", filepath.Join(dir, "absent", "devices.json"))...)
		assert.Equal(t, exitFailed, got.code)
		assert.Contains(t, got.stderr, "--devices-file")
		untouched(t)
	})
}
