// Package senderror defines the code and text of a send_error for each reason why a device's
// message fails (DEV 9.3). Both doors for devices use it, so that a device gets the same texts on
// MCS and on XMPP.
package senderror

import (
	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/payload"
)

// words are the code and description of a reason in a send_error.
type words struct{ code, description string }

// unsaid stands for reasons that the router never gives for a device's message.
var unsaid = words{"ServerError", "ServerError"}

var table = map[ccs.Reason]words{
	ccs.UnknownSender:   {"InvalidParameters", "InvalidParameters: no such sender ID"},
	ccs.NotRegistered:   {"NotRegistered", "NotRegistered: the app is not registered for this sender ID"},
	ccs.TooBig:          {"MessageTooBig", "MessageTooBig"},
	ccs.BadTTL:          {"InvalidTtl", "InvalidTtl: below zero"},
	ccs.RateExceeded:    {"QuotaExceeded", "QuotaExceeded: the device sends too fast"},
	ccs.QueueFull:       {"too many messages wait for the sender", "too many messages wait for the sender"},
	ccs.NobodyConnected: {"TtlExceeded", "TtlExceeded: no app server is connected"},
	ccs.Expired:         {"TtlExceeded", "TtlExceeded: no app server has taken the message in time"},
}

// Append appends the pairs that say why the message of a device failed. A message stored by an
// older version already contains them.
func Append(d payload.Data, m *ccs.Message) payload.Data {
	if m.Reason == 0 {
		return append(d, m.Data...)
	}
	w, ok := table[m.Reason]
	if !ok {
		w = unsaid
	}
	return d.Append("error", w.code).Append("error_description", w.description)
}
