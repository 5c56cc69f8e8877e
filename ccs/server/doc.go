// Package server puts ccs together: a Config in, a running process out. It opens the store, makes
// certificates and a first project where there are none, starts the endpoints, and ends them in the order
// that loses nothing.
//
// A Server's methods may be called from any goroutine.
package server
