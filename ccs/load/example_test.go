package load_test

import (
	"fmt"

	"github.com/openccs/openccs/ccs/load"
)

// A report becomes a threshold.
func ExampleParseExpectations() {
	expected, err := load.ParseExpectations("ack.p99<10ms,lost=0")
	if err != nil {
		panic(err)
	}
	// It comes from load.Run.
	result := &load.Result{Plan: load.DefaultPlan(), AckMS: load.Latency{P99: 12.5}}
	for _, e := range expected {
		if miss := e.Miss(result); miss != "" {
			fmt.Println("missed:", miss)
		}
	}
	// Output: missed: ack.p99<10ms: it is 12.5
}
