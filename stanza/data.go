package stanza

import "github.com/openccs/openccs/ccs/payload"

// Package payload defines the content of a payload, independent of the wire format.
type (
	// Data holds the key-value pairs of a message as the core keeps them.
	Data = payload.Data
	// Priority says how soon a device should get a message.
	Priority = payload.Priority
	// Rules are options of DecodeInbound. The zero value is the usual protocol.
	Rules = payload.Rules
)

// These are the priorities of CCS 2.3. A message that names no priority has PriorityDefault.
const (
	PriorityDefault = payload.PriorityDefault
	PriorityNormal  = payload.PriorityNormal
	PriorityHigh    = payload.PriorityHigh
)

// MaxTTL is the longest and the default time_to_live of a downstream message (CCS 2.3).
const MaxTTL = payload.MaxTTL

// Object is the text of a valid JSON object, as the peer sent it.
type Object string
