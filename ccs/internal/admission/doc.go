// Package admission decides which connections a server accepts. Its listeners share one Gate, which
// enforces three limits: all connections together, those of one address that have not logged in,
// and those of one address that have. A connection over a limit is closed at once, so that its
// client may try another server. An IPv6 address counts by its first 64 bits, because one party has
// all of them. Loopback and trusted networks have no limits per address.
//
// A connection begins as not logged in. Its door calls LogIn after the login, and Close removes it
// from the counts. The log has one line when the Gate begins to refuse connections and one when
// that ends.
//
// With a load balancer every connection comes from the balancer's address. Connections from the
// networks in Options.Proxies must begin with a header of the PROXY protocol, version 2, and their
// address is the one in the header. A header from any other network is not understood.
//
// Gate and Conn may be used from any goroutine.
package admission
