// Package server starts a complete ccs server from a Config. It opens the store, makes
// certificates and a first project if there are none, and starts the doors. It stops them in the
// order that loses nothing.
//
// A Server's methods may be called from any goroutine.
package server
