package admin

// NewHTTPServer is the HTTP server of Start, without its socket.
var NewHTTPServer = newHTTPServer
