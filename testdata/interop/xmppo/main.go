// Command xmppo is an app server on the go-xmpp library: it sends messages with a window of its own and
// prints, as JSON, how often each was answered.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"

	"github.com/xmppo/go-xmpp"
)

type answer struct {
	Type  string `json:"message_type"`
	ID    string `json:"message_id"`
	Error string `json:"error"`
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("xmppo: ")
	addr := flag.String("addr", "", "host:port of the server")
	ca := flag.String("ca", "", "PEM file of the CA to trust")
	sender := flag.String("sender", "", "sender ID")
	key := flag.String("key", "", "API key")
	token := flag.String("token", "", "registration token to send to")
	count := flag.Int("count", 10_000, "messages to send")
	window := flag.Int("window", 1000, "messages in flight")
	flag.Parse()

	pem, err := os.ReadFile(*ca)
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client, err := xmpp.Options{
		Host:      *addr,
		User:      *sender + "@gcm.googleapis.com",
		Password:  *key,
		TLSConfig: &tls.Config{RootCAs: roots, ServerName: "gcm.googleapis.com"},
		Mechanism: "PLAIN",
		Session:   true,
	}.NewClient()
	if err != nil {
		log.Fatal("log in: ", err)
	}

	slots := make(chan struct{}, *window)
	go func() {
		for i := range *count {
			slots <- struct{}{}
			_, err := client.SendOrg(fmt.Sprintf(`<message id=""><gcm xmlns="google:mobile:data">{"to":"%s","message_id":"m-%d","data":{"n":"%d"}}</gcm></message>`+"\n", *token, i, i))
			if err != nil {
				log.Fatal("send: ", err)
			}
		}
	}()
	acks := make(map[string]int, *count)
	nacks := map[string]int{}
	for answered := 0; answered < *count; {
		got, err := client.Recv()
		if err != nil {
			log.Fatalf("receive after %d answers: %v", answered, err)
		}
		chat, ok := got.(xmpp.Chat)
		if !ok || len(chat.OtherElem) == 0 {
			continue
		}
		var a answer
		if err := json.Unmarshal([]byte(chat.OtherElem[0].InnerXML), &a); err != nil {
			log.Fatalf("answer %q: %v", chat.OtherElem[0].InnerXML, err)
		}
		switch a.Type {
		case "ack":
			acks[a.ID]++
		case "nack":
			nacks[a.Error]++
		default:
			continue
		}
		answered++
		<-slots
	}
	client.Close()
	twice := 0
	for _, n := range acks {
		if n > 1 {
			twice++
		}
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{"sent": *count, "acked_once": len(acks) - twice, "acked_twice": twice, "nacked": nacks})
}
