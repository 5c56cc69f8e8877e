module github.com/openccs/openccs/testdata/interop

go 1.26

require (
	github.com/appleboy/go-fcm v0.1.6
	github.com/mattn/go-xmpp v0.0.0-20170423100754-906d9d747d2b
	github.com/sirupsen/logrus v1.10.2
	github.com/topfreegames/go-gcm v0.9.2-0.20190502232724-427c8404345d
	github.com/xmppo/go-xmpp v0.2.10
)

require (
	github.com/google/uuid v1.0.0 // indirect
	github.com/jpillora/backoff v1.1.0 // indirect
	github.com/onsi/ginkgo v1.16.5 // indirect
	github.com/onsi/gomega v1.44.0 // indirect
	github.com/pborman/uuid v1.2.1 // indirect
	github.com/stretchr/objx v0.5.3 // indirect
	github.com/stretchr/testify v1.12.1 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/crypto v0.53.0 // indirect
	golang.org/x/net v0.56.0 // indirect
	golang.org/x/sys v0.46.0 // indirect
)
