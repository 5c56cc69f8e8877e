package server

import (
	"errors"
	"net"
	"syscall"
)

type listeners struct{ xmpp, xmppTest, mcs, http, plain net.Listener }

func (l *listeners) close() {
	for _, n := range []net.Listener{l.xmpp, l.xmppTest, l.mcs, l.http, l.plain} {
		if n != nil {
			n.Close()
		}
	}
}

func addr(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

func (s *Server) listen() (*listeners, error) {
	var l listeners
	var errs []error
	for _, want := range []struct {
		flag, addr string
		l          *net.Listener
	}{
		{"xmpp-listen", s.conf.XMPPListen, &l.xmpp},
		{"xmpp-test-listen", s.conf.XMPPTestListen, &l.xmppTest},
		{"mcs-listen", s.conf.MCSListen, &l.mcs},
		{"http-listen", s.conf.HTTPListen, &l.http},
		{"http-plain-listen", s.conf.HTTPPlain, &l.plain},
	} {
		if want.addr == "" {
			continue
		}
		l, err := s.conf.Network.Listen("tcp", want.addr)
		if err == nil {
			*want.l = s.gate.Listener(l)
		} else {
			problem := err.Error()
			if errors.Is(err, syscall.EADDRINUSE) {
				problem = "the port is in use by another program"
			}
			errs = append(errs, &ConfigError{Flag: want.flag, Value: want.addr, Problem: problem, Mend: "choose another address, or port 0 for any free one"})
		}
	}
	if err := errors.Join(errs...); err != nil {
		l.close()
		return nil, err
	}
	return &l, nil
}
