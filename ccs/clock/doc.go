// Package clock has clocks for messages that do not go by the wall: tests freeze them and move
// them.
//
// A Manual is a ccs.Clock for server.Config.Clock or ccstest.Clock. Everything that the protocol
// counts goes by it: TTLs, expiry, resends and rates. Sockets go by the wall: deadlines, heartbeats
// and draining.
//
// All methods may be called from any goroutine.
package clock
