// Package iid is the HTTP door of the Instance ID API for app servers (TOPICS 5): what the server
// knows about a registration token, and subscriptions to topics, one by one and in batches. Any
// goroutine may use it.
package iid
