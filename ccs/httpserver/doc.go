// Package httpserver is the HTTP listener. It serves the calls of devices itself: check-in, which
// gives a device its identity (DEV 2), registration, which gives an app on it a token (DEV 3), and
// the call that Firebase's libraries make before (DEV 12). The doors for app servers are packages
// below this one. Each provides its calls as Routes. This package has the common parts: limits of
// connections, HTTP/1.1 and HTTP/2, the reading of bodies, answers, the access log and draining.
//
// Every path is served on every host name, because clients use several (CCS 6.1, DEV 1).
//
// The package only translates. Devices decides on the requests of devices; ccs.Router implements
// it. Some clients cannot be changed and depend on every byte of an answer. The code cites the
// sections of DEV and CCS that say so.
//
// The log never has security tokens, registration tokens, keys or payloads.
package httpserver
