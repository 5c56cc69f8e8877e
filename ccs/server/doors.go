package server

import (
	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/ccs/httpserver/gcmhttp"
	"github.com/openccs/openccs/ccs/httpserver/group"
	"github.com/openccs/openccs/ccs/httpserver/iid"
	"github.com/openccs/openccs/ccs/httpserver/tokenendpoint"
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
	return append(routes, tokenendpoint.New(s.tokens, tokenendpoint.Options{Now: s.router.Now})...)
}
