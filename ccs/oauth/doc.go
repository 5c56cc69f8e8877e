// Package oauth issues and checks access tokens. The token endpoint of GCM for Chrome issues them (CCS 7.1).
// That API and the SASL mechanisms X-OAUTH2 and X-GOOGLE-TOKEN accept them (CCS 1.6).
//
// An access token is "ya29." and the base64url of its claims, followed by an HMAC-SHA256 with a secret of
// the server. The store keeps nothing for a token, so issuing one costs no write. The claims name the OAuth
// client, and Check looks it up each time. After the client or its project is deleted, the tokens stop
// working at once.
//
// The store keeps hashes of client secrets and refresh tokens. They are shown once, when they are made.
//
// All methods may be called from any goroutine.
package oauth
