package admission

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/pires/go-proxyproto"
)

const (
	proxyTimeout = 5 * time.Second // time for a balancer to send a header, which it does at once
	// proxyFixed is how many bytes of a header come before the addresses. The last two are the
	// length of the rest.
	proxyFixed = 16
	// maxProxyHeader is the largest header, with all that balancers add about TLS and themselves.
	maxProxyHeader = 4 << 10
)

var (
	errNoHeader    = errors.New("the connection does not begin with a header of PROXY version 2")
	errLongHeader  = errors.New("the header is too long")
	errNoTCPHeader = errors.New("the header is of another protocol than TCP")
)

// readHeader reads the header of a connection from a proxy, and takes the address in it as the
// peer's. It reads no byte more, because eagerconn.Conn reads from the socket itself.
func (c *Conn) readHeader() error {
	if err := c.Conn.SetReadDeadline(time.Now().Add(proxyTimeout)); err != nil {
		return err
	}
	head := make([]byte, proxyFixed, 256)
	if _, err := io.ReadFull(c.Conn, head); err != nil {
		return fmt.Errorf("read header: %w", err)
	}
	if !bytes.HasPrefix(head, proxyproto.SIGV2) {
		return errNoHeader
	}
	rest := int(binary.BigEndian.Uint16(head[proxyFixed-2:]))
	if rest > maxProxyHeader-proxyFixed {
		return errLongHeader
	}
	head = append(head, make([]byte, rest)...)
	if _, err := io.ReadFull(c.Conn, head[proxyFixed:]); err != nil {
		return fmt.Errorf("read header: %w", err)
	}
	h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		return fmt.Errorf("parse header: %w", err)
	}
	// A proxy sends LOCAL for its own connections, such as health checks.
	if !h.Command.IsLocal() {
		from, _, ok := h.TCPAddrs()
		if !ok {
			return errNoTCPHeader
		}
		c.remote = &net.TCPAddr{IP: from.IP, Port: from.Port}
	}
	return c.Conn.SetReadDeadline(time.Time{})
}
