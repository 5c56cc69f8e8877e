// Package devcert makes certificates for a server that was given none: a development CA and a
// server certificate. The certificate names every host of Google that an unmodified client may dial
// (CCS 1.1, DEV 1 and 12).
//
// Ensure keeps them in the data directory, so a client that trusts ca.pem once trusts every later
// start. New makes them in memory, for tests. Both may be called from any goroutine. Two processes
// must not call Ensure for one folder at the same time.
package devcert
