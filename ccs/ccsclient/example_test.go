package ccsclient_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/stanza"
)

// An app server that sends one message and prints what devices send, until the server ends the stream.
func Example() {
	ctx := context.Background()
	client, err := ccsclient.Dial(ctx, "push.example.org:5235", "123456789012", "AIza...", ccsclient.Options{
		OnUpstream: func(u *ccsclient.Upstream) error {
			for key, value := range u.Data.All() {
				fmt.Println(u.From, key, value)
			}
			return nil // now the server may forget it
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = client.SendWait(ctx, &ccsclient.Message{
		To:        "REGISTRATION",
		MessageID: "m-1",
		TTL:       time.Hour,
		Data:      map[string]string{"hello": "world"},
	})
	var refused *ccsclient.Nack
	switch {
	case errors.As(err, &refused) && refused.Code == stanza.DeviceUnregistered:
		fmt.Println("forget this registration")
	case err != nil:
		fmt.Println("not accepted:", err)
	}
	<-client.Done()
	fmt.Println(client.Err())
}

// An app server that stays connected and sends one message: AppServer reconnects, and sends again what has no answer.
func ExampleAppServer() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	app := ccsclient.NewAppServer("push.example.org:5235", "123456789012", "AIza...", ccsclient.AppServerOptions{
		Options: ccsclient.Options{
			OnReceipt: func(r *ccsclient.Receipt) { fmt.Println(r.OriginalID, "is on the device") },
		},
		OnDisconnect: func(reason error, wait time.Duration) { fmt.Println("disconnected:", reason) },
	})
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()

	ack, err := app.SendWait(ctx, &ccsclient.Message{
		To:               "REGISTRATION",
		MessageID:        "order-4711", // the same when it is sent again: the server knows a repeat by it
		Data:             map[string]string{"order": "4711"},
		ReceiptRequested: true,
	})
	switch {
	case err != nil:
		fmt.Println("not accepted:", err)
	case ack.RegistrationID != "":
		fmt.Println("use this registration from now on:", ack.RegistrationID)
	}
	cancel()
	<-ended
}
