// Package eagerconn reads all bytes that have arrived on a connection below TLS before the reader
// waits again.
package eagerconn
