package stanza

import "github.com/openccs/openccs/payload"

// What a payload says, apart from how it is written, is in package payload.
type (
	// Data is the pairs of a message as ccs keeps them.
	Data = payload.Data
	// Priority is how soon a device should get a message.
	Priority = payload.Priority
	// Rules are what DecodeInbound may be told to do otherwise. The zero value is the protocol's usual.
	Rules = payload.Rules
)

// The priorities of CCS 2.3. PriorityDefault is what a message has that names none.
const (
	PriorityDefault = payload.PriorityDefault
	PriorityNormal  = payload.PriorityNormal
	PriorityHigh    = payload.PriorityHigh
)

// MaxTTL is the longest and the default time_to_live of a downstream message (CCS 2.3).
const MaxTTL = payload.MaxTTL

// Object is the text of a JSON object, as it was sent and found valid.
type Object string
