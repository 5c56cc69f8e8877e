package mcsclient_test

import (
	"context"
	"fmt"
	"time"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
)

// A device enrols, registers and stays connected. ccstest stands for a server somewhere.
func Example() {
	err := ccstest.Run(func(server *ccstest.Server) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()

		id, err := mcsclient.CheckIn(ctx, server.HTTP(), server.HTTPURL(), mcsclient.Identity{})
		if err != nil {
			fmt.Println(err)
			return
		}
		token, err := mcsclient.Register(ctx, server.HTTP(), server.HTTPURL(), id, mcsclient.Registration{
			App: "org.example.app", Senders: []string{server.Sender},
		})
		if err != nil {
			fmt.Println(err)
			return
		}

		got := make(chan string, 1)
		device := mcsclient.NewDevice(server.MCSAddr(), id, mcsclient.DeviceOptions{Options: mcsclient.Options{
			TLS: server.TLS(),
			OnMessage: func(m *mcsclient.Message) {
				text, _ := m.Get("hello")
				got <- text
			},
		}})
		ended := make(chan error, 1)
		go func() { ended <- device.Run(ctx) }()

		app := server.AppServer(ccsclient.Options{})
		if _, err := app.SendWait(ctx, &ccsclient.Message{To: token, Data: map[string]string{"hello": "world"}}); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("hello", <-got)
		cancel()
		<-ended
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output: hello world
}
