// Package tokenendpoint is the OAuth 2.0 token endpoint for app servers (CCS 7.1): it exchanges a
// refresh token for an access token (RFC 6749 §6) and revokes tokens (RFC 7009). It answers on
// every path that clients were seen to post to.
//
// It only translates. Package oauth issues the tokens, and every door for senders accepts them. No
// token and no secret is in a log.
//
// The routes may be called from any goroutine.
package tokenendpoint
