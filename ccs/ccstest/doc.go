// Package ccstest is a whole server in a test: the real one, with its own certificate and on ports of its
// own, on a memory store unless the test wants another. It brings the clients to talk to it.
package ccstest
