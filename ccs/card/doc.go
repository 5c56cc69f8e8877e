// Package card holds the connection card: addresses and credentials with which a client on the same
// machine reaches a running server. The server writes the card to its data directory and prints it.
// The client commands read it.
//
// The card contains an API key in clear text, so only the owner may read the file. A Card belongs
// to the caller; the package keeps no reference to it.
package card
