// Package ccstest runs a whole server in a test. It is the real server, with its own certificate
// and ports, on a memory store unless the test chooses another. It brings the clients for it.
//
// Start gives a test a server that ends with it; Run gives one to a program that is no test. Enrol
// makes a device with an app. AppServer, Connect, RunAppServer and RunDevice connect clients,
// which end with the test too. InMemory also replaces the network, so that a testing/synctest
// bubble can contain server and clients. Clock gives messages a clock that the test moves. The
// package needs no other test library.
//
// The methods of a Server end the test when they fail, so only the test's own goroutine may call
// them.
package ccstest
