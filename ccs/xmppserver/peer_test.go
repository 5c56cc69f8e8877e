package xmppserver_test

import (
	"cmp"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// peer is one connection, as an app server sees it.
type peer struct {
	t    *testing.T
	nc   net.Conn
	read string // received and not consumed

	patience time.Duration // default: the constant
}

// patience is how long a test waits for an expected event.
const patience = 10 * time.Second

func (p *peer) send(s string) {
	p.t.Helper()
	_, err := io.WriteString(p.nc, s)
	require.NoError(p.t, err)
}

// until returns the received text up to and including end.
func (p *peer) until(end string) string {
	p.t.Helper()
	buf := make([]byte, 64<<10)
	for {
		if i := strings.Index(p.read, end); i >= 0 {
			got := p.read[:i+len(end)]
			p.read = p.read[i+len(end):]
			return got
		}
		p.nc.SetReadDeadline(time.Now().Add(cmp.Or(p.patience, patience)))
		n, err := p.nc.Read(buf)
		p.read += string(buf[:n])
		if n == 0 && err != nil {
			require.NoError(p.t, err, "waiting for %q, received %q", end, p.read)
		}
	}
}

// rest returns the received text until the server ends the connection.
func (p *peer) rest() string {
	p.t.Helper()
	p.nc.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(p.nc)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		require.NoError(p.t, err)
	}
	got := p.read + string(b)
	p.read = ""
	return got
}

// quiet checks that nothing comes before or with the answer to a ping.
func (p *peer) quiet() {
	p.t.Helper()
	for range 2 {
		p.send(`<iq id="quiet" type="get"><ping xmlns="urn:xmpp:ping"/></iq>`)
		require.Equal(p.t, `<iq id="quiet" type="result"/>`, p.until(`/>`))
	}
}

func plainAuth(response string) string {
	return `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>` + base64.StdEncoding.EncodeToString([]byte(response)) + `</auth>`
}

// gcm wraps JSON as an app server sends it.
func gcm(json string) string {
	return `<message id=""><gcm xmlns="google:mobile:data">` + strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(json) + `</gcm></message>`
}
