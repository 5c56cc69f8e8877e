// Package devcert makes the certificates that a server shows when it is given none: a development CA,
// and a server certificate of that CA for every host name that a client of Google's may have been
// pointed away from (CCS 1.1, DEV 1 and 12).
//
// Ensure keeps them in the data directory, so that whoever trusts ca.pem once trusts every later start.
// New makes them in memory, for tests. Both may be called from any goroutine; two processes must not
// Ensure one folder at a time.
package devcert
