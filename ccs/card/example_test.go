package card_test

import (
	"fmt"
	"os"

	"github.com/openccs/openccs/ccs/card"
)

// A server leaves its card in the data directory, and a client on the machine finds it there.
func Example() {
	dir, err := os.MkdirTemp("", "data-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	server := card.Card{XMPP: "127.0.0.1:5235", SenderID: "123456789012", APIKey: "AIzaSample"}
	if err := server.Write(dir); err != nil {
		fmt.Println(err)
		return
	}
	client, err := card.Read(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("connect to", client.XMPP, "as", client.SenderID)
	// Output: connect to 127.0.0.1:5235 as 123456789012
}
