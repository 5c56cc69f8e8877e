package ccsclient_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/stanza"
)

// An app server that sends two messages over one connection. ccstest stands for a server somewhere.
func ExampleDial() {
	err := ccstest.Run(func(server *ccstest.Server) {
		device := server.Enrol("com.example.app")
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()

		client, err := ccsclient.Dial(ctx, server.XMPPAddr(), server.Sender, server.Key, ccsclient.Options{
			TLS: server.TLS(),
			OnUpstream: func(u *ccsclient.Upstream) error {
				fmt.Println("from", u.From)
				return nil // now the server may forget it
			},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		defer client.Close()
		for _, to := range []string{device.Token, "a token of nobody"} {
			_, err := client.SendWait(ctx, &ccsclient.Message{
				To:        to,
				MessageID: "m-1",
				TTL:       time.Hour,
				Data:      map[string]string{"hello": "world"},
			})
			var refused *ccsclient.Nack
			switch {
			case err == nil:
				fmt.Println("accepted")
			case errors.As(err, &refused) && refused.Code == stanza.BadRegistration:
				fmt.Println("forget this registration")
			default:
				fmt.Println("not accepted:", err)
			}
		}
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// accepted
	// forget this registration
}

// An AppServer reconnects and sends its unanswered messages again.
func ExampleAppServer() {
	err := ccstest.Run(func(server *ccstest.Server) {
		device := server.Enrol("com.example.app")
		server.Connect(device, mcsclient.Options{})
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()

		receipts := make(chan string, 1)
		app := ccsclient.NewAppServer(server.XMPPAddr(), server.Sender, server.Key, ccsclient.AppServerOptions{
			Options: ccsclient.Options{
				TLS:       server.TLS(),
				OnReceipt: func(r *ccsclient.Receipt) { receipts <- r.OriginalID },
			},
			OnDisconnect: func(reason error, wait time.Duration) { fmt.Println("disconnected:", reason) },
		})
		ended := make(chan error, 1)
		go func() { ended <- app.Run(ctx) }()

		ack, err := app.SendWait(ctx, &ccsclient.Message{
			To:               device.Token,
			MessageID:        "order-4711", // the same for a repeat: the server knows it by that
			Data:             map[string]string{"order": "4711"},
			ReceiptRequested: true,
		})
		switch {
		case err != nil:
			fmt.Println("not accepted:", err)
		case ack.RegistrationID != "":
			fmt.Println("use this registration from now on:", ack.RegistrationID)
		default:
			fmt.Println("accepted", ack.MessageID)
		}
		fmt.Println("on the device:", <-receipts)
		cancel()
		<-ended
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// accepted order-4711
	// on the device: order-4711
}
