package load

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openccs/openccs/ccs/mcsclient"
)

// app is the app that every device of a fleet has registered.
const app = "org.openccs.load"

// atOnce bounds the concurrent requests or logins during the set-up of a run, except in a connect
// storm.
const atOnce = 32

// fleet is a set of registered devices, as saved in a file for the next run. It contains their
// secrets.
type fleet struct {
	Server  string       `json:"server"`
	Senders []string     `json:"senders"` // all may send to each device
	Devices []enrolled   `json:"devices"`
	path    string       // "" if there is no file
	http    *http.Client // for check-in and registration
	saved   int          // number of devices in the file
}

// enrolled is a device that has an identity and a token.
type enrolled struct {
	mcsclient.Identity
	Token string `json:"token"`
}

// openFleet reads the devices of an earlier run. It uses them if they belong to this server and
// these senders, and if the server still knows them.
func openFleet(ctx context.Context, path, server string, senders []string, conf *tls.Config) (*fleet, error) {
	f := &fleet{path: path, http: &http.Client{
		Timeout:   loginTimeout,
		Transport: &http.Transport{TLSClientConfig: conf.Clone(), MaxIdleConnsPerHost: atOnce},
	}}
	if path != "" {
		b, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(b, f)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("devices of an earlier run: %s: %w", path, err)
		}
	}
	fits := f.Server == server && slices.Equal(f.Senders, senders) && len(f.Devices) > 0
	if fits {
		_, err := mcsclient.CheckIn(ctx, f.http, server, f.Devices[0].Identity)
		if fits = err == nil; err != nil && !errors.Is(err, mcsclient.ErrUnknownDevice) {
			return nil, err
		}
	}
	if !fits {
		f.Server, f.Senders, f.Devices = server, senders, nil
	}
	f.saved = len(f.Devices)
	return f, nil
}

// grow enrols devices until there are n. It reports the number of devices to progress.
func (f *fleet) grow(ctx context.Context, n int, progress func(done int)) error {
	first := len(f.Devices)
	if first >= n {
		return nil
	}
	f.Devices = append(f.Devices, make([]enrolled, n-first)...)
	var done atomic.Int64
	done.Store(int64(first))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i := first; i < n && ctx.Err() == nil; i++ {
		g.Go(func() (err error) {
			f.Devices[i], err = f.enrol(ctx)
			progress(int(done.Add(1)))
			return err
		})
	}
	err := g.Wait()
	if err != nil {
		f.Devices = f.Devices[:first]
	}
	return err
}

// enrol enrols one device.
func (f *fleet) enrol(ctx context.Context) (e enrolled, err error) {
	if e.Identity, err = mcsclient.CheckIn(ctx, f.http, f.Server, mcsclient.Identity{}); err != nil {
		return e, err
	}
	e.Token, err = mcsclient.Register(ctx, f.http, f.Server, e.Identity, mcsclient.Registration{App: app, Senders: f.Senders})
	return e, err
}

// save writes the devices to a file for the next run, readable only by its owner.
func (f *fleet) save() error {
	if f.path == "" || len(f.Devices) == f.saved {
		return nil
	}
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	// Another run may save at the same time.
	fresh, err := os.CreateTemp(filepath.Dir(f.path), "."+filepath.Base(f.path)+".*")
	if err != nil {
		return err
	}
	_, err = fresh.Write(append(b, '\n'))
	err = errors.Join(err, fresh.Sync(), fresh.Close())
	if err == nil {
		err = os.Rename(fresh.Name(), f.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(fresh.Name()))
	}
	f.saved = len(f.Devices)
	return nil
}

// close closes the connections for registration.
func (f *fleet) close() { f.http.CloseIdleConnections() }

// progressEvery is the interval between two progress reports of a set-up.
const progressEvery = 250 * time.Millisecond
