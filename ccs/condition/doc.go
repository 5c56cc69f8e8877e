// Package condition parses the conditions on topics that a message may have in place of a target
// (TOPICS 2.3), such as
//
//	'news' in topics && ('sport' in topics || !('muted' in topics))
//
// It has no state and may be used from any goroutine.
package condition
