package server

import (
	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/ccs/httpserver/gcmhttp"
	"github.com/openccs/openccs/ccs/httpserver/group"
	"github.com/openccs/openccs/ccs/httpserver/tokenendpoint"
)

// doors returns the calls of the HTTP doors for app servers.
func (s *Server) doors() []httpserver.Route {
	auth := httpserver.NewAuth(s.router, httpserver.AuthOptions{Logger: s.conf.Logger})
	routes := gcmhttp.Routes(s.router, auth)
	routes = append(routes, group.Routes(s.router, auth)...)
	return append(routes, tokenendpoint.New(s.tokens, tokenendpoint.Options{Now: s.router.Now})...)
}
