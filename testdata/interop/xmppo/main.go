// Command xmppo is an app server on github.com/xmppo/go-xmpp, as of 2025.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/xmppo/go-xmpp"

	"github.com/openccs/openccs/testdata/interop/appserver"
)

func main() {
	log.SetPrefix("xmppo: ")
	o := appserver.ParseFlags()
	pem, err := os.ReadFile(o.CA)
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client, err := xmpp.Options{
		Host:      o.Addr,
		User:      o.Sender + "@gcm.googleapis.com",
		Password:  o.Key,
		TLSConfig: &tls.Config{RootCAs: roots, ServerName: "gcm.googleapis.com"},
		Mechanism: "PLAIN", // left alone it picks X-OAUTH2, and for want of a token sends nothing at all
		Session:   true,
	}.NewClient()
	if err != nil {
		log.Fatal("log in: ", err)
	}

	send := func(m *appserver.Message) error {
		text, _ := json.Marshal(m) // escapes what XML would have to
		_, err := client.SendOrg(fmt.Sprintf(`<message id=""><gcm xmlns="google:mobile:data">%s</gcm></message>`, text))
		return err
	}
	app := appserver.New("github.com/xmppo/go-xmpp", "github.com/xmppo/go-xmpp", o, send)
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
