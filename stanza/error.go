package stanza

// Code is the error of a nack (CCS 3.3).
type Code string

// The package emits only these codes, because clients treat an unknown code as
// INTERNAL_SERVER_ERROR and retry.
const (
	InvalidJSON               Code = "INVALID_JSON"
	BadRegistration           Code = "BAD_REGISTRATION"
	DeviceUnregistered        Code = "DEVICE_UNREGISTERED"
	BadAck                    Code = "BAD_ACK"
	ServiceUnavailable        Code = "SERVICE_UNAVAILABLE"
	InternalServerError       Code = "INTERNAL_SERVER_ERROR"
	DeviceMessageRateExceeded Code = "DEVICE_MESSAGE_RATE_EXCEEDED"
	TopicsMessageRateExceeded Code = "TOPICS_MESSAGE_RATE_EXCEEDED"
	ConnectionDraining        Code = "CONNECTION_DRAINING"

	// Names of one era only (CCS 9 no. 9, CCS 9 no. 13).
	QuotaExceeded    Code = "QUOTA_EXCEEDED"
	SenderIDMismatch Code = "SENDER_ID_MISMATCH"
)

// Error is a refusal that the peer may see. Code and Description go into the nack, Err into the
// log. Fault and Text are for the doors over HTTP, which have words of their own.
type Error struct {
	Code        Code
	Description string
	Err         error

	Fault Fault  // zero for an error that is not about a payload
	Text  string // the details, without the name of the fault
	Field string // the field, with FaultType
}

// Fault says which rule a payload breaks.
type Fault uint8

// These are the faults of a payload, in the order of the table in CCS 8 where that has them.
const (
	FaultTarget      Fault = iota + 1 // no target
	FaultSyntax                       // not a JSON object
	FaultType                         // a field has the wrong type
	FaultField                        // a field has a wrong value, or excludes another field
	FaultSize                         // too large
	FaultDataKey                      // a key of data is reserved
	FaultTTL                          // time_to_live is out of range
	FaultCollapseKey                  // collapse_key is too long
	FaultPriority                     // unknown priority
)

func (e *Error) Error() string {
	s := string(e.Code)
	if e.Description != "" {
		s += ": " + e.Description
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }
