// Package ccstest is a whole server in a test: the real one, with its own certificate and on ports of its own, on a
// memory store unless the test wants another. It brings the clients to talk to it.
//
// Start gives a test a server that ends with it; Run gives one to a program that is no test. Enrol makes a device with an
// app, and AppServer, Connect, RunAppServer and RunDevice connect clients, which end with the test too. InMemory takes
// the network away as well, so that a testing/synctest bubble can hold everything; Clock gives messages a clock that the
// test moves. The package needs no test library of its own.
//
// The methods of a Server that fail end the test, so only the test's own goroutine may call them.
package ccstest
