package server

import (
	"net/netip"

	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/ccs/httpserver/chrome"
	"github.com/openccs/openccs/ccs/httpserver/gcmhttp"
	"github.com/openccs/openccs/ccs/httpserver/group"
	"github.com/openccs/openccs/ccs/httpserver/iid"
	"github.com/openccs/openccs/ccs/httpserver/tokenendpoint"
	"github.com/openccs/openccs/ccs/internal/admission"
)

// doors returns the calls of the HTTP doors for app servers.
func (s *Server) doors() []httpserver.Route {
	auth := httpserver.NewAuth(s.router, httpserver.AuthOptions{Logger: s.conf.Logger})
	routes := gcmhttp.Routes(s.router, auth)
	routes = append(routes, group.Routes(s.router, auth)...)
	var ids iid.Options
	if s.conf.EmulateImports {
		ids.Import = s.router.ImportAPNS
	}
	routes = append(routes, iid.Routes(s.router, auth, ids)...)
	routes = append(routes, chrome.Routes(s.router, auth, s.tokens, chrome.Options{
		SuccessStatus: s.conf.ChromeSuccessStatus, AuthStatus: s.conf.ChromeAuthStatus, Network: s.newDeviceNetwork, Now: s.router.Now,
	})...)
	return append(routes, tokenendpoint.New(s.tokens, tokenendpoint.Options{Now: s.router.Now})...)
}

// newDeviceNetwork returns the network by which the new devices of an address are counted, or
// zero if it is exempt.
func (s *Server) newDeviceNetwork(remoteAddr string) netip.Prefix {
	peer, err := netip.ParseAddrPort(remoteAddr)
	if err != nil || s.gate.Exempt(peer.Addr().Unmap()) {
		return netip.Prefix{}
	}
	return admission.Network(peer.Addr())
}
