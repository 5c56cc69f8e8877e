module openccs/testdata/interop

go 1.26

require github.com/xmppo/go-xmpp v0.2.10

require (
	golang.org/x/crypto v0.32.0 // indirect
	golang.org/x/net v0.34.0 // indirect
)
