package server

import "github.com/openccs/openccs/ccs/httpserver"

// doors returns the calls of the HTTP doors for app servers.
func (s *Server) doors() []httpserver.Route {
	return nil
}
