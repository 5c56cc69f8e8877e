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

// maxSocketPath is below the maximum length of a unix socket's address: 107 bytes on Linux, 103 on
// macOS.
const maxSocketPath = 100

// ErrInUse says that another server already answers on the data directory.
var ErrInUse = errors.New("another server runs")

// place is the content of control.json: the path of the data directory's socket, and the process
// of its server.
type place struct {
	Socket string `json:"socket"`
	PID    int    `json:"pid"`
}

func placePath(dir string) string { return filepath.Join(dir, "control.json") }

// Server answers the requests of commands.
type Server struct {
	dir     string
	place   place
	tempDir string // holds the socket if the path of the data directory is too long, otherwise ""
	http    *http.Server
	done    chan struct{} // closed when the server accepts no more connections
}

// Start answers requests to a data directory with h until Shutdown. The server already answers
// when Start returns. A nil logger logs nothing.
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

// These are the limits of a connection. A request that has begun must end.
const (
	headerTimeout = 10 * time.Second
	bodyTimeout   = 60 * time.Second
	idleTimeout   = 60 * time.Second // also for the first bytes of a further request
)

func newHTTPServer(h http.Handler, log *log.Logger) *http.Server {
	return &http.Server{Handler: limitBody(h), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, ErrorLog: log}
}

// limitBody limits the time in which a request's body arrives to bodyTimeout.
// http.Server.ReadTimeout would also end a request without a body whose answer takes longer, such
// as a profile.
func limitBody(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != http.NoBody {
			// The connection of a real server always has deadlines.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
		}
		h.ServeHTTP(w, r)
	})
}

// listen opens the socket and writes its path to control.json.
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

	// The socket gets its mode before it gets its name, so that no other user ever connects.
	// listen removes the stale sockets of a killed server under both names.
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

// Shutdown stops accepting requests, waits for those in progress until ctx ends, and removes the
// socket.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		s.http.Close()
	}
	<-s.done
	s.remove()
	return err
}

// remove deletes the files that listen has made. A missing file is no error.
func (s *Server) remove() {
	os.Remove(placePath(s.dir))
	if s.place.Socket != "" {
		os.Remove(s.place.Socket)
	}
	if s.tempDir != "" {
		os.RemoveAll(s.tempDir)
	}
}
