// Package iid is the HTTP door of the Instance ID API for app servers (TOPICS 5). It serves the
// data of a registration token, and subscriptions to topics, one by one and in batches. It may be
// used from any goroutine.
package iid
