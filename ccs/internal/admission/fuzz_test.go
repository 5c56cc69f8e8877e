package admission_test

import (
	"io"
	"net"
	"testing"

	"github.com/openccs/openccs/ccs/internal/admission"
)

// The connection is closed, or handed over with an address, whatever a proxy sends.
func FuzzHeader(f *testing.F) {
	ok := []byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc6\x33\x64\x01\xc0\x00\x02\x01\x00\x4d\x14\x6c")
	f.Add(ok)
	f.Add(append(ok[:len(ok):len(ok)], "\x16\x03\x01"...))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x21\xff\xff"))
	f.Add([]byte("PROXY TCP4 198.51.100.1 192.0.2.1 77 5228\r\n"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		d := newDoor()
		l := admission.New(behindProxies()).Listener(d)
		served := make(chan struct{})
		go func() {
			defer close(served)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				if admission.Addr(c.RemoteAddr()).IsValid() {
					io.Copy(io.Discard, c)
				} else {
					t.Error("a connection without an address")
				}
				c.Close()
			}
		}()
		far, near := net.Pipe()
		d.come <- from{near, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 7}}
		far.Write(sent) // fails if the connection is refused
		far.Close()
		l.Close()
		<-served
	})
}
