// Command ccs is a server for app servers and devices of Google Cloud Messaging, with clients to
// try it. serve runs the server. project, device, send and listen are clients. load measures any
// such server.
//
// Results go to stdout, everything else to stderr. A flag, its environment variable (CCS_ and the
// name of the flag) and its key in the file of --config mean the same. The flag takes precedence
// over the variable, and the variable over the file.
package main
