package ccstest_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/ccs/card"
	"github.com/openccs/openccs/ccs/mcsclient"
)

// neighbours are the shapes that a quiet sender shares the server with. Each of their senders has
// its own connection, project and device.
var neighbours = []shape{
	{name: "One", senders: 1},
	{name: "TenOf1000Bytes", senders: 10, value: strings.Repeat("x", 999)},
	{name: "BadMessages", senders: 4, bad: true},
	{name: "TenNeverAcked", senders: 10, hold: true},
}

const (
	quietRate = 500 // messages a second of the quiet sender
	quietFor  = 3 * time.Second
)

// BenchmarkFairness measures how long the answers to a sender of few messages take without
// neighbours. In the same run it measures that with neighbours that send as fast as their windows
// let them. The server, the neighbours and the quiet client are three processes, so none waits in
// the Go scheduler of another. The neighbours have a lower priority than the server. The quiet
// client does wait for a processor, and that wait is part of the result.
func BenchmarkFairness(b *testing.B) {
	for _, n := range neighbours {
		b.Run(n.name, func(b *testing.B) {
			for b.Loop() {
				n.measureBeside(b)
			}
		})
	}
}

func (s shape) measureBeside(b *testing.B) {
	s.devices = s.senders
	quiet := shape{name: "quiet", senders: 1, devices: 1, window: 1000, rate: quietRate}
	whole := shape{senders: 1 + s.senders, devices: 1 + s.devices}
	all := whole.makeBed(b)
	mine, theirs := *all, *all
	mine.senders, mine.devices, mine.tokens = all.senders[:1], all.devices[:1], all.tokens[:1]
	theirs.senders, theirs.devices, theirs.tokens = all.senders[1:], all.devices[1:], all.tokens[1:]

	l := &load{shape: &quiet, work: make(chan int), failed: make(chan struct{})}
	quiet.connect(b, &mine, l)
	var driving sync.WaitGroup
	stop := make(chan struct{})
	driving.Go(func() {
		defer close(l.work)
		for {
			select {
			case <-stop:
				return
			default:
				l.hand(quietRate / 5)
			}
		}
	})
	time.Sleep(time.Second)
	alone := l.during(quietFor)
	child := theirs.startNeighbours(b, s.name)
	time.Sleep(time.Second)
	beside := l.during(quietFor)
	rate := child.stop(b)
	close(stop)
	driving.Wait()
	l.sending.Wait()
	require.NoError(b, l.err)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(percentile(alone, 0.50), "alone-p50-ms")
	b.ReportMetric(percentile(alone, 0.99), "alone-p99-ms")
	b.ReportMetric(percentile(beside, 0.50), "beside-p50-ms")
	b.ReportMetric(percentile(beside, 0.99), "beside-p99-ms")
	b.ReportMetric(percentile(beside, 0.99)/percentile(alone, 0.99), "ratio")
	b.ReportMetric(rate, "neighbours-msg/s")
}

// during returns how long the answers took that arrived in the next d.
func (l *load) during(d time.Duration) []time.Duration {
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.took)
	}
	from := count()
	time.Sleep(d)
	to := count()
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.took[from:to])
}

func percentile(took []time.Duration, p float64) float64 {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return float64(took[int(p*float64(len(took)-1))].Microseconds()) / 1000
}

// neighboursEnv makes the test binary run the neighbours.
const neighboursEnv = "CCSTEST_NEIGHBOURS"

// neighbourhood is the input of the neighbours' process.
type neighbourhood struct {
	Name    string
	Card    card.Card
	Senders []admin.Credentials
	Devices []mcsclient.Identity
	Tokens  []string
}

type neighbourProcess struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func (d *bed) startNeighbours(b testing.TB, name string) *neighbourProcess {
	about, err := json.Marshal(neighbourhood{name, d.card, d.senders, d.devices, d.tokens})
	require.NoError(b, err)
	p := &neighbourProcess{cmd: exec.Command("nice", "-n", "19", os.Args[0], "-test.run", "^TestNeighbours$")}
	p.cmd.Env = append(os.Environ(), neighboursEnv+"="+string(about))
	p.cmd.Stderr = os.Stderr
	p.in, err = p.cmd.StdinPipe()
	require.NoError(b, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(b, err)
	p.out = bufio.NewReader(out)
	require.NoError(b, p.cmd.Start())
	b.Cleanup(func() { p.cmd.Process.Kill(); p.cmd.Wait() })
	_, err = p.out.ReadString('\n')
	require.NoError(b, err, "the neighbours did not start")
	return p
}

// stop ends the neighbours, and returns the rate of their answered messages per second.
func (p *neighbourProcess) stop(b testing.TB) (rate float64) {
	p.in.Close()
	text, err := p.out.ReadString('\n')
	require.NoError(b, err)
	_, err = fmt.Sscan(text, &rate)
	require.NoError(b, err)
	return rate
}

// TestNeighbours is the process of the neighbours. Without neighboursEnv it does nothing.
func TestNeighbours(t *testing.T) {
	text := os.Getenv(neighboursEnv)
	if text == "" {
		t.Skip("a part of BenchmarkFairness")
	}
	var about neighbourhood
	require.NoError(t, json.Unmarshal([]byte(text), &about))
	i := slices.IndexFunc(neighbours, func(s shape) bool { return s.name == about.Name })
	require.GreaterOrEqual(t, i, 0)
	s := neighbours[i]
	s.devices, s.window = len(about.Devices), 1000
	d := &bed{card: about.Card, senders: about.Senders, devices: about.Devices, tokens: about.Tokens,
		trust: &tls.Config{InsecureSkipVerify: true}} // a server of this benchmark, on loopback
	l := &load{shape: &s, work: make(chan int), failed: make(chan struct{})}
	s.connect(t, d, l)
	l.hand(chunk)
	began, before := time.Now(), l.sent.Load()
	fmt.Println("ready")
	ended := make(chan struct{})
	go func() { io.Copy(io.Discard, os.Stdin); close(ended) }()
	for {
		select {
		case <-ended:
			fmt.Println(float64(l.sent.Load()-before) / time.Since(began).Seconds())
			os.Exit(0)
		case <-l.failed:
			require.NoError(t, l.err)
		default:
			l.hand(chunk)
		}
	}
}
