package admin

// NewHTTPServer returns the HTTP server of Start, without its socket.
var NewHTTPServer = newHTTPServer
