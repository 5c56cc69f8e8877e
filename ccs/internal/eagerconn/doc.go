// Package eagerconn reads from a connection under TLS all that has arrived before the reader waits again.
package eagerconn
