// Package httpserver is the HTTP listener. It serves the calls of devices itself: check-in, by which a device gets its
// identity (DEV 2), and registration, by which an app on it gets a token (DEV 3), with the call that Firebase's
// libraries make before (DEV 12). The doors for app servers are packages below this one. Each gives its calls as Routes,
// and this package has what all calls have in common: limits of connections, HTTP/1.1 and HTTP/2, the reading of
// bodies, answers, the access log and draining.
//
// Every path is served on every host name, because clients use several (CCS 6.1, DEV 1).
//
// The package only translates. Devices decides what devices ask for; ccs.Router implements it. Some clients cannot be
// changed and depend on every byte of an answer. The code names the sections of DEV and CCS that say so.
//
// Security tokens, registration tokens, keys and payloads are in no log.
package httpserver
