package downstream_test

import (
	"fmt"

	"github.com/openccs/openccs/ccs/internal/downstream"
	"github.com/openccs/openccs/stanza"
)

func ExampleOf() {
	m := downstream.Of(&stanza.Downstream{To: "APA91b", MessageID: "m-1", TTL: stanza.NowOrNever})
	fmt.Println(m.To, m.ID, m.TTL)
	// Output: APA91b m-1 0s
}
