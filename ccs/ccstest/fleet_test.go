package ccstest_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/card"
	"github.com/openccs/openccs/ccs/mcsclient"
)

// fleetEnv makes the test binary connect devices, as fleetOrder says on its standard input.
const fleetEnv = "CCSTEST_FLEET"

// fleetOrder names the devices that a process must keep connected.
type fleetOrder struct {
	MCS    string
	CAFile string
	IDs    []mcsclient.Identity
}

// report is the state of a fleet. The process writes one for every change, or for several at once.
type report struct {
	Online int
	Failed int // attempts
}

// addresses is how many addresses the devices come from. Each has enough ports for its part.
const addresses = 8

// fleetChild is the process of the devices. They run until it is killed.
func fleetChild() bool {
	if os.Getenv(fleetEnv) == "" {
		return false
	}
	var order fleetOrder
	if err := json.NewDecoder(os.Stdin).Decode(&order); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	pem, _ := os.ReadFile(order.CAFile)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	trust := &tls.Config{RootCAs: roots, ServerName: "localhost"}

	var mu sync.Mutex
	var now report
	change := make(chan struct{}, 1)
	count := func(n *int, by int) {
		mu.Lock()
		*n += by
		mu.Unlock()
		select {
		case change <- struct{}{}:
		default:
		}
	}
	for i, id := range order.IDs {
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i%addresses))}}
		var here atomic.Bool
		d := mcsclient.NewDevice(order.MCS, id, mcsclient.DeviceOptions{
			Options:   mcsclient.Options{TLS: trust, DialContext: dialer.DialContext},
			OnConnect: func() { here.Store(true); count(&now.Online, 1) },
			OnDisconnect: func(error, time.Duration) {
				if here.Swap(false) {
					count(&now.Online, -1)
				} else {
					count(&now.Failed, 1)
				}
			},
		})
		go d.Run(context.Background())
	}
	for out := json.NewEncoder(os.Stdout); ; {
		<-change
		mu.Lock()
		r := now
		mu.Unlock()
		if out.Encode(r) != nil {
			return true
		}
	}
}

// fleet is a process of devices.
type fleet struct {
	b   *testing.B
	cmd *exec.Cmd
	out *json.Decoder
}

func (f *fleet) start(order fleetOrder) {
	f.b.Helper()
	f.cmd = exec.Command(os.Args[0])
	f.cmd.Env = append(os.Environ(), fleetEnv+"=1")
	f.cmd.Stderr = os.Stderr
	in, err := json.Marshal(order)
	require.NoError(f.b, err)
	f.cmd.Stdin = bytes.NewReader(in)
	out, err := f.cmd.StdoutPipe()
	require.NoError(f.b, err)
	require.NoError(f.b, f.cmd.Start())
	f.out = json.NewDecoder(out)
}

// wait waits until the given number of devices is online.
func (f *fleet) wait(online int) (took time.Duration, failed int) {
	f.b.Helper()
	start := time.Now()
	for {
		var r report
		require.NoError(f.b, f.out.Decode(&r), "the devices have ended")
		if r.Online == online {
			return time.Since(start), r.Failed
		}
		require.Less(f.b, time.Since(start), 2*time.Minute, "%+v", r)
	}
}

func (f *fleet) kill() {
	f.cmd.Process.Kill()
	f.cmd.Wait()
}

// enrol checks devices in, over one connection.
func enrol(b testing.TB, hc *http.Client, c card.Card, n int) []mcsclient.Identity {
	b.Helper()
	ids := make([]mcsclient.Identity, n)
	for i := range ids {
		var err error
		ids[i], err = mcsclient.CheckIn(b.Context(), hc, c.HTTP, mcsclient.Identity{})
		require.NoError(b, err)
	}
	return ids
}
