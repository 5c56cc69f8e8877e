// Package gcmhttp is the door for app servers that send by HTTP: one message in a request, or one
// for up to a thousand recipients. It speaks GCM HTTP and the legacy HTTP protocol of FCM, as JSON
// and as a form (CCS 6). It only translates: package stanza decodes and checks a message as for
// XMPP, and the router decides about it. The tables from the router's reasons to this protocol's
// words are in words.go.
//
// Routes is called once. The calls that it returns run in many goroutines.
package gcmhttp
