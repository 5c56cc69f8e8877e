package ccs

import (
	"time"

	"github.com/openccs/openccs/flowcontrol"
)

// maxRates limits the senders and devices whose rates are remembered. The least recent one starts
// again.
const maxRates = 100_000

// quota returns the rate of a project: so many a second, as many at once.
func quota(perSecond int) flowcontrol.Rate {
	if perSecond <= 0 {
		return flowcontrol.Rate{}
	}
	return flowcontrol.Rate{Every: time.Second / time.Duration(perSecond), Burst: perSecond}
}
