// Package oauth issues and checks access tokens. The token endpoint of GCM for Chrome gives them out (CCS
// 7.1); that API and the SASL mechanisms X-OAUTH2 and X-GOOGLE-TOKEN take them (CCS 1.6).
//
// An access token is "ya29." and the base64url of what it says, with an HMAC-SHA256 behind it under a
// secret of the server's. Nothing is stored for one, so that issuing costs no write. What it says is whose
// it is, and the OAuth client is looked up whenever a token is checked: when the client is deleted, or the
// project and its clients with it, their tokens stop working at once.
//
// OAuth clients' secrets and refresh tokens are kept as hashes; they are shown once, when they are made.
//
// All methods may be called from any goroutine.
package oauth
