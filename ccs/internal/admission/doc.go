// Package admission decides which connections a server takes. Its listeners share one Gate, which holds three
// limits: all connections together, those of one address that have not logged in, and those of one address that have.
// A connection over a limit is closed at once, so that its client may try another server. An IPv6 address counts by
// its first 64 bits, which is what one party has. Loopback and trusted networks have no limits per address.
//
// A connection begins as one that has not logged in. Its endpoint calls LogIn when it has, and Close takes it out of
// the count. The log has one line when connections begin to be refused and one when that ends.
//
// Behind a balancer every connection comes from the balancer's address. Connections from the networks in
// Options.Proxies must begin with a header of the PROXY protocol, version 2, and their address is the one in the
// header. The header of anybody else is not understood.
//
// Gate and Conn may be used from any goroutine.
package admission
