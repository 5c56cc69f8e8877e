package gcmhttp

import (
	"net/http"
	"time"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/stanza"
)

// word is the protocol's name of a reason to refuse a message (CCS 6.7, 8).
type word struct {
	text string
	// status is the status of a request whose messages are all refused for this reason, or 200 if
	// the word suffices.
	status int
	// form is the status in plain text, where the reason has no word; 0 for none (CCS 6.6).
	form int
	// after is how long the client should wait; 0 for not at all.
	after time.Duration
}

const (
	bad         = http.StatusBadRequest
	internal    = http.StatusInternalServerError
	unavailable = http.StatusServiceUnavailable

	soon  = time.Second     // a quota fills up
	later = 5 * time.Second // the store comes back
)

// words has the word of each reason.
var words = map[ccs.Reason]word{
	ccs.UnknownToken:      {text: "InvalidRegistration"},
	ccs.WrongSender:       {text: "MismatchSenderId"},
	ccs.Unregistered:      {text: "NotRegistered"},
	ccs.NotRegistered:     {text: "NotRegistered"},
	ccs.InvalidTopic:      {text: "InvalidParameters", status: bad},
	ccs.InvalidCondition:  {text: "InvalidParameters", status: bad},
	ccs.InvalidPackage:    {text: "InvalidPackageName"},
	ccs.InvalidMessage:    {text: "InvalidParameters", status: bad},
	ccs.MissingTarget:     {text: "MissingRegistration"},
	ccs.TooBig:            {text: "MessageTooBig"},
	ccs.InvalidDataKey:    {text: "InvalidDataKey"},
	ccs.BadTTL:            {text: "InvalidTtl"},
	ccs.BadCollapseKey:    {text: "InvalidParameters", status: bad},
	ccs.BadPriority:       {text: "InvalidParameters", status: bad},
	ccs.RateExceeded:      {text: "DeviceMessageRateExceeded"},
	ccs.QueueFull:         {text: "DeviceMessageRateExceeded"},
	ccs.TopicRateExceeded: {text: "TopicsMessageRateExceeded"},
	ccs.QuotaExceeded:     {text: "Unavailable", status: unavailable, form: unavailable, after: soon},
	ccs.WindowExceeded:    {text: "Unavailable", status: unavailable, form: unavailable, after: soon},
	ccs.Draining:          {text: "Unavailable", status: unavailable, form: unavailable, after: soon},
	ccs.RepeatRefused:     {text: "Unavailable", status: unavailable, form: unavailable, after: soon},
	ccs.NobodyConnected:   {text: "Unavailable", status: unavailable, form: unavailable, after: soon},
	ccs.Expired:           {text: "Unavailable", status: unavailable, form: unavailable, after: soon},
	ccs.Unavailable:       {text: "Unavailable", status: unavailable, form: unavailable, after: later},
	ccs.UnknownSender:     {text: "InternalServerError", status: internal, form: internal},
	ccs.Damaged:           {text: "InternalServerError", status: internal, form: internal},
	ccs.Internal:          {text: "InternalServerError", status: internal, form: internal},
}

// wordOf returns the word for a refusal.
func wordOf(r *ccs.Refusal) word {
	w, ok := words[r.Reason]
	if !ok {
		w = words[ccs.Internal]
	}
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w
}

// reasons has the core's reason for each fault of a request.
var reasons = [...]ccs.Reason{
	stanza.FaultTarget: ccs.MissingTarget, stanza.FaultSyntax: ccs.InvalidMessage, stanza.FaultType: ccs.InvalidMessage,
	stanza.FaultField: ccs.InvalidMessage, stanza.FaultSize: ccs.TooBig, stanza.FaultDataKey: ccs.InvalidDataKey,
	stanza.FaultTTL: ccs.BadTTL, stanza.FaultCollapseKey: ccs.BadCollapseKey, stanza.FaultPriority: ccs.BadPriority,
}
