// Command xmppodevice is a device on github.com/xmppo/go-xmpp, as of 2025: one that has no MCS. It sends its
// upstream messages, prints the payload of each message that it gets, a line each, and acknowledges it. It ends once
// its own are answered and a message with the id "done" in its data has come.
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

const domain = "device.gcm.googleapis.com"

// message is a payload, either way.
type message struct {
	To          string            `json:"to,omitempty"`
	From        string            `json:"from,omitempty"`
	MessageID   string            `json:"message_id"`
	MessageType string            `json:"message_type,omitempty"`
	Category    string            `json:"category,omitempty"`
	Data        map[string]string `json:"data,omitempty"`
}

func main() {
	log.SetPrefix("xmppodevice: ")
	addr := flag.String("addr", "", "host and port of the server")
	ca := flag.String("ca", "", "PEM file with the CA to trust")
	device := flag.String("device", "", "android id")
	password := flag.String("password", "", "security token")
	to := flag.String("to", "", "sender ID that its messages are for")
	category := flag.String("category", "", "the app")
	count := flag.Int("count", 0, "how many messages to send")
	flag.Parse()
	pem, err := os.ReadFile(*ca)
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client, err := xmpp.Options{
		Host:      *addr,
		User:      *device + "@" + domain, // the library opens the stream to the domain, and logs in without it
		Password:  *password,
		TLSConfig: &tls.Config{RootCAs: roots, ServerName: domain},
		Mechanism: "PLAIN",
		Session:   true,
	}.NewClient()
	if err != nil {
		log.Fatal("log in: ", err)
	}
	defer client.Close()
	send := func(m *message) {
		text, _ := json.Marshal(m) // escapes what XML would have to
		if _, err := client.SendOrg(fmt.Sprintf(`<message><gcm xmlns="google:mobile:data">%s</gcm></message>`, text)); err != nil {
			log.Fatal("send: ", err)
		}
	}
	go func() {
		for i := range *count {
			send(&message{To: *to + "@gcm.googleapis.com", MessageID: fmt.Sprint("u-", i), Category: *category, Data: map[string]string{"n": fmt.Sprint(i)}})
		}
	}()
	for answered, done := 0, false; answered < *count || !done; {
		stanza, err := client.Recv()
		if err != nil {
			log.Fatal("receive: ", err)
		}
		chat, ok := stanza.(xmpp.Chat)
		if !ok || len(chat.Other) == 0 {
			continue
		}
		var m message
		if err := json.Unmarshal([]byte(chat.Other[0]), &m); err != nil {
			log.Fatal("payload: ", err)
		}
		if m.MessageType == "ack" {
			answered++
			continue
		}
		fmt.Println(chat.Other[0])
		send(&message{To: m.From, MessageID: m.MessageID, MessageType: "ack"})
		done = done || m.Data["id"] == "done"
	}
}
