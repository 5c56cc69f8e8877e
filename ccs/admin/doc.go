// Package admin is how commands reach the server that runs on a data directory, and what they may ask
// of it about projects.
//
// A server speaks HTTP and JSON on a unix socket in the directory (Start); a command finds it there
// (Dial), or learns that no server runs (ErrNoServer) and then opens the store itself. Projects has the
// rules for either way; Client asks a server for the same. The socket is for the owner of the directory
// alone: whoever may connect may do everything.
//
// Everything here may be called from any goroutine.
package admin
