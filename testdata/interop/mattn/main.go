// Command mattn is an app server on github.com/mattn/go-xmpp as most clients for GCM in Go had it, in 2017.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/mattn/go-xmpp"

	"github.com/openccs/openccs/testdata/interop/appserver"
)

func main() {
	log.SetPrefix("mattn: ")
	o := appserver.ParseFlags()
	pem, err := os.ReadFile(o.CA)
	if err != nil {
		log.Fatal(err)
	}
	// NewClient, unlike Options, can't be told a CA, but through this.
	xmpp.DefaultConfig = tls.Config{RootCAs: x509.NewCertPool()}
	xmpp.DefaultConfig.RootCAs.AppendCertsFromPEM(pem)
	client, err := xmpp.NewClient(o.Addr, o.Sender+"@gcm.googleapis.com", o.Key, false)
	if err != nil {
		log.Fatal("log in: ", err)
	}

	send := func(m *appserver.Message) error {
		text, _ := json.Marshal(m) // escapes what XML would have to
		_, err := client.SendOrg(fmt.Sprintf(`<message id=""><gcm xmlns="google:mobile:data">%s</gcm></message>`, text))
		return err
	}
	app := appserver.New("github.com/mattn/go-xmpp", "github.com/mattn/go-xmpp", o, send)
	go func() {
		defer app.Ended()
		for {
			stanza, err := client.Recv()
			if err != nil {
				log.Print("receive: ", err)
				return
			}
			chat, ok := stanza.(xmpp.Chat)
			if !ok || len(chat.Other) == 0 {
				continue
			}
			if ack := app.Handle(chat.Type, []byte(chat.Other[0])); ack != nil {
				if err := send(ack); err != nil {
					log.Print("acknowledge: ", err)
				}
			}
		}
	}()
	app.Run("")
	client.Close()
}
