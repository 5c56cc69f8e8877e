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
)

// Error is a refusal that the peer may see. Code and Description go into the nack, Err into the
// log.
type Error struct {
	Code        Code
	Description string
	Err         error
}

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
