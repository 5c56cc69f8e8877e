// Package admin connects commands to the server that runs on a data directory, and defines the
// requests that they may make about projects.
//
// A server speaks HTTP and JSON on a unix socket in the directory (Start). A command finds it
// there (Dial), or learns that no server runs (ErrNoServer) and then opens the store itself.
// Projects has the rules for both cases; Client calls a server for the same operations. Only the
// owner of the directory can connect to the socket, because every client may do everything.
//
// Everything here may be called from any goroutine.
package admin
