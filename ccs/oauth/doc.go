// Package oauth issues and checks access tokens. The token endpoint of GCM for Chrome issues them
// (CCS 7.1). That API and the SASL mechanisms X-OAUTH2 and X-GOOGLE-TOKEN accept them (CCS 1.6).
//
// An access token is "ya29." and the base64url of its claims, followed by an HMAC-SHA256 with a
// secret of the server. The store keeps nothing for a token, so issuing one costs no write. The
// claims name the OAuth client, its epoch and the refresh token. Check compares them with records
// that it has read at most half a second ago, so most checks need no store. After the client, its
// project or the refresh token is deleted, or the epoch has changed, the tokens stop working: at
// once on the node that did it, and within a second on the others.
//
// A refresh token is a project's or a user's (Grant). Check refuses the access tokens of users,
// which are good only to learn a channel ID (CheckUser).
//
// The store keeps hashes of client secrets and refresh tokens. They are shown once, when they are
// made.
//
// All methods may be called from any goroutine.
package oauth
