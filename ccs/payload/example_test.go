package payload_test

import (
	"fmt"

	"github.com/openccs/openccs/ccs/payload"
)

func ExampleData() {
	d := payload.Data{}.Append("title", "Hi").Append("score", "2:1")
	for key, value := range d.All() {
		fmt.Println(key, value)
	}
	fmt.Println(d.Size(), "bytes count towards the limit")
	// Output:
	// title Hi
	// score 2:1
	// 15 bytes count towards the limit
}
