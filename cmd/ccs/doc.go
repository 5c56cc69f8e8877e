// Command ccs is a server that app servers and devices of Google Cloud Messaging can be pointed at, and
// the clients to try it with: serve, project, device, send, listen; and load, which measures any such server.
//
// Results go to stdout, everything else to stderr. A flag, its environment variable (CCS_ and the flag's
// name) and its key in the file of --config say the same thing; the flag wins over the variable, the
// variable over the file.
package main
