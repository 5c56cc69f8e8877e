package card

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/openccs/openccs/ccs/card/atomicfile"
)

// Card says where a server listens and how to log in. A listener that is off has the address "".
type Card struct {
	XMPP     string    `json:"xmpp"`      // host:port for app servers
	XMPPTest string    `json:"xmpp_test"` // the same for tests (CCS 1.1, port 5236)
	MCS      string    `json:"mcs"`       // host:port for devices
	HTTP     string    `json:"http"`      // URL for check-in and registration
	SenderID string    `json:"sender_id"` // "" for none: there are other projects, or none at all
	APIKey   string    `json:"api_key"`   // "" for none that is known
	CAFile   string    `json:"ca_file"`   // CA for clients to trust; "" for the system's CAs
	PID      int       `json:"pid"`
	Started  time.Time `json:"started"`

	// NewKey says that the server made the project and its key in this start.
	NewKey bool `json:"-"`
}

// ErrNoCard says that the directory has no card.
var ErrNoCard = errors.New("no connection card")

// Path returns the path of the card in a data directory.
func Path(dir string) string { return filepath.Join(dir, "card.json") }

// Write writes the card to a data directory. Only the owner can read it.
func (c *Card) Write(dir string) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := atomicfile.Write(Path(dir), append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep the connection card: %w", err)
	}
	return nil
}

// Read returns the card in a data directory, or ErrNoCard.
func Read(dir string) (*Card, error) {
	b, err := os.ReadFile(Path(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w in %s", ErrNoCard, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("read the connection card: %w", err)
	}
	var c Card
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("read the connection card %s: %w", Path(dir), err)
	}
	return &c, nil
}

// DialAddr returns the address at which a client on this machine reaches a listener. An address
// that means every interface becomes localhost, which the certificate also names.
func DialAddr(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("localhost", port)
	}
	return listen
}
