package plot_test

import (
	"bytes"
	"fmt"

	"github.com/openccs/openccs/ccs/load"
	"github.com/openccs/openccs/ccs/load/plot"
)

func ExampleHTML() {
	result := &load.Result{Plan: load.DefaultPlan()} // from load.Run
	var page bytes.Buffer
	if err := plot.HTML(&page, result); err != nil {
		panic(err)
	}
	fmt.Println(page.String()[:15])
	// Output: <!DOCTYPE html>
}
