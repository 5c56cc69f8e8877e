package mcsclient_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/openccs/openccs/ccs/mcsclient"
)

// A device from nothing to a connection that is kept.
func Example() {
	ctx := context.Background()
	base, hc := "https://android.clients.example.org", http.DefaultClient
	id, err := mcsclient.CheckIn(ctx, hc, base, mcsclient.Identity{})
	if err != nil {
		log.Fatal(err)
	}
	token, err := mcsclient.Register(ctx, hc, base, id, mcsclient.Registration{
		App: "org.example.app", Senders: []string{"123456789012"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("send to", token)

	d := mcsclient.NewDevice("mtalk.example.org:5228", id, mcsclient.DeviceOptions{Options: mcsclient.Options{
		OnMessage: func(m *mcsclient.Message) { fmt.Println(m.From, m.Data) },
	}})
	log.Fatal(d.Run(ctx))
}
