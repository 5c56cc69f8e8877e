package domains_test

import (
	"fmt"

	"github.com/openccs/openccs/ccs/domains"
)

func Example() {
	fmt.Println("126200347933@" + domains.GCM)
	fmt.Println(domains.IsLogin("FCM.googleapis.com"), domains.IsLogin(domains.Devices))
	// Output:
	// 126200347933@gcm.googleapis.com
	// true false
}
