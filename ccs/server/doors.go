package server

import (
	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/ccs/httpserver/gcmhttp"
)

// doors returns the calls of the HTTP doors for app servers.
func (s *Server) doors() []httpserver.Route {
	auth := httpserver.NewAuth(s.router, httpserver.AuthOptions{Logger: s.conf.Logger})
	return gcmhttp.Routes(s.router, auth)
}
