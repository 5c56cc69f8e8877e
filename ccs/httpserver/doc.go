// Package httpserver is the HTTP endpoint for devices: check-in, by which a device gets its identity
// (DEV 2), and registration, by which an app on it gets a token (DEV 3), with the call that Firebase's libraries
// make before (DEV 12). It answers for any host name, because devices reach it by several.
//
// It only translates. Devices is what it asks; ccs.Router is one. What an answer has to look like
// down to its last byte is for the sake of clients that cannot be changed, and the sections of DEV are
// named where it matters.
//
// Security tokens and registration tokens are in no log.
package httpserver
