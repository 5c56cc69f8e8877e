package stanza_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/openccs/openccs/stanza"
)

// This example is a server without devices. It accepts every well-formed message.
func Example() {
	connection := strings.NewReader(`<stream:stream to='gcm.googleapis.com' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>` +
		`<message id=""><gcm xmlns="google:mobile:data">{"to":"T","message_id":"m-1","data":{"k":"v"}}</gcm></message>` +
		`<message id=""><gcm xmlns="google:mobile:data">{"to":"T","message_id":"m-2","time_to_live":"abc"}</gcm></message>` +
		`</stream:stream>`)
	r := stanza.NewReader(connection, stanza.AfterBind)
	if _, err := r.Header(); err != nil {
		fmt.Println(err)
		return
	}
	var e stanza.Element
	for r.Next(&e) == nil {
		var in stanza.Inbound
		err := stanza.DecodeInbound(e.Payload, nil, &in)
		m := &in.Downstream
		var refused *stanza.Error
		switch {
		case err == nil:
			fmt.Printf("%s\n", stanza.AppendAck(nil, m.To, m.MessageID, ""))
		case errors.As(err, &refused):
			fmt.Printf("%s\n", stanza.AppendNack(nil, m.To, m.MessageID, refused.Code, refused.Description))
		}
	}
	// Output:
	// <message><data:gcm xmlns:data="google:mobile:data">{"message_type":"ack","from":"T","message_id":"m-1"}</data:gcm></message>
	// <message><data:gcm xmlns:data="google:mobile:data">{"message_type":"nack","from":"T","message_id":"m-2","error":"INVALID_JSON","error_description":"InvalidJson: JSON_TYPE_ERROR : Field \"time_to_live\" must be a JSON java.lang.Number: abc"}</data:gcm></message>
}
