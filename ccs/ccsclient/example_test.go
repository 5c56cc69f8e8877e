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
		OnUpstream: func(o *stanza.Outbound) error {
			for key, value := range o.Data.All() {
				fmt.Println(o.From, key, value)
			}
			return nil // now the server may forget it
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	reply, err := client.SendWait(ctx, &stanza.Downstream{
		To:        "REGISTRATION",
		MessageID: "m-1",
		TTL:       time.Hour,
		Data:      `{"hello":"world"}`,
	})
	var refused *stanza.Error
	switch {
	case err != nil:
		fmt.Println("not sent:", err)
	case errors.As(reply.Err, &refused) && refused.Code == stanza.DeviceUnregistered:
		fmt.Println("forget this registration")
	case reply.Err != nil:
		fmt.Println("not accepted:", reply.Err)
	}
	<-client.Done()
	fmt.Println(client.Err())
}
