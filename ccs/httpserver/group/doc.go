// Package group is the HTTP door for device groups (TOPICS 4.1): /gcm/notification and
// /fcm/notification make groups, change them and find their notification keys. A message to a group
// goes through the doors for messages. Any goroutine may use it.
package group
