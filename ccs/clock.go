package ccs

import "time"

// Clock tells the time that a message's life goes by: acceptance, TTL, expiry. Sockets go by the wall.
type Clock interface {
	Now() time.Time
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }
