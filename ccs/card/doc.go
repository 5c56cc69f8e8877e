// Package card is the connection card: what a client on the same machine has to know to reach a running
// server. The server writes it into its data directory, the client commands read it there, and people
// read it on the terminal.
//
// The card holds an API key in the clear, so only its owner may read the file. A Card belongs to who
// made it; nothing here keeps one.
package card
