// Package chrome is the door for GCM for Chrome in both revisions (CCS 7): app servers send to
// channels, apps learn the user's part of a channel ID, and devices register as instances of an
// app.
//
// It only translates. The router decides, in the order of CCS 7.4, and this package has one table
// from its reasons to the answers. Bodies may be written with single quotes, because the first
// document prints them so; no other door accepts that.
//
// The routes may be called from any goroutine. No token and no payload is in a log.
package chrome
