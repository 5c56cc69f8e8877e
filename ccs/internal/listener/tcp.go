package listener

import "net"

// TCP returns the TCP connection below c, or nil. A type that wraps a connection returns it from
// NetConn, as tls.Conn does.
func TCP(c net.Conn) *net.TCPConn {
	for {
		switch t := c.(type) {
		case *net.TCPConn:
			return t
		case interface{ NetConn() net.Conn }:
			c = t.NetConn()
		default:
			return nil
		}
	}
}
