package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs/card/atomicfile"
)

// maxSocketPath keeps clear of what a unix socket's address can hold: 107 bytes on Linux, 103 on macOS.
const maxSocketPath = 100

// ErrInUse says that another server answers on the data directory already.
var ErrInUse = errors.New("another server runs")

// place is what control.json holds: where the socket of a data directory is, and whose.
type place struct {
	Socket string `json:"socket"`
	PID    int    `json:"pid"`
}

func placePath(dir string) string { return filepath.Join(dir, "control.json") }

// Server answers commands.
type Server struct {
	dir     string
	place   place
	tempDir string // holds the socket when the data directory's path is too long, "" otherwise
	http    *http.Server
	done    chan struct{} // closed when no more connections are taken
}

// Start answers the commands that come to a data directory with h, from when it returns until Shutdown.
// A nil logger logs nothing.
func Start(dir string, h http.Handler, log *zap.Logger) (*Server, error) {
	if log == nil {
		log = zap.NewNop()
	}
	if c, err := Dial(dir); err == nil {
		defer c.Close()
		return nil, fmt.Errorf("%w on %s (pid %d): stop it first, or use another data directory", ErrInUse, dir, c.pid)
	}
	s := &Server{
		dir:   dir,
		place: place{PID: os.Getpid()},
		http:  newHTTPServer(h, zap.NewStdLog(log)),
		done:  make(chan struct{}),
	}
	l, err := s.listen()
	if err != nil {
		return nil, fmt.Errorf("listen for commands on %s: %w", dir, err)
	}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("commands are not answered any more", zap.Error(err))
		}
	}()
	return s, nil
}

// Limits for a connection: a request that is begun must end.
const (
	headerTimeout = 10 * time.Second
	bodyTimeout   = 60 * time.Second
	idleTimeout   = 60 * time.Second // also for the first bytes of a further request
)

func newHTTPServer(h http.Handler, log *log.Logger) *http.Server {
	return &http.Server{Handler: limitBody(h), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, ErrorLog: log}
}

// limitBody gives a request's body bodyTimeout to come. http.Server.ReadTimeout would also end a request without a body
// that is answered for longer than that, such as a profile.
func limitBody(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != http.NoBody {
			// The connection of a real server always has deadlines.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
		}
		h.ServeHTTP(w, r)
	})
}

// listen opens the socket and says in control.json where it is.
func (s *Server) listen() (l *net.UnixListener, err error) {
	defer func() {
		if err != nil {
			if l != nil {
				l.Close()
			}
			s.remove()
		}
	}()
	folder, err := filepath.Abs(s.dir)
	if err != nil {
		return nil, err
	}
	if len(filepath.Join(folder, "control.sock")) > maxSocketPath {
		if s.tempDir, err = os.MkdirTemp("", "ccs-"); err != nil { // 0700
			return nil, err
		}
		folder = s.tempDir
	}
	s.place.Socket = filepath.Join(folder, "control.sock")

	// The socket gets its mode before it gets its name: nobody else ever connects. What a server that
	// was killed has left under either name goes.
	fresh := filepath.Join(folder, "control.new")
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if l, err = net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"}); err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err := os.Chmod(fresh, 0o600); err != nil {
		return l, err
	}
	if err := os.Rename(fresh, s.place.Socket); err != nil {
		return l, err
	}
	b, err := json.Marshal(s.place)
	if err != nil {
		return l, err
	}
	return l, atomicfile.Write(placePath(s.dir), append(b, '\n'), 0o600)
}

// Shutdown takes no more commands, waits for those under way until ctx ends, and removes the socket.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		s.http.Close()
	}
	<-s.done
	s.remove()
	return err
}

// remove takes away what listen has made. What is gone already is as good.
func (s *Server) remove() {
	os.Remove(placePath(s.dir))
	if s.place.Socket != "" {
		os.Remove(s.place.Socket)
	}
	if s.tempDir != "" {
		os.RemoveAll(s.tempDir)
	}
}
