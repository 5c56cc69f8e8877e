package gcmhttp

import (
	"net/http"
	"time"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/stanza"
)

// word is how the protocol says why a message is refused (CCS 6.7, 8).
type word struct {
	text string
	// status is that of a request of which every message is refused for this reason: 200 if the word says it all.
	status int
	// form is the status in place of a word in an answer of plain text, which has no word for it; 0 for none (CCS 6.6).
	form int
	// after is how long the client is asked to wait; 0 for not at all.
	after time.Duration
}

const (
	bad         = http.StatusBadRequest
	internal    = http.StatusInternalServerError
	unavailable = http.StatusServiceUnavailable

	soon  = time.Second     // a quota fills up
	later = 5 * time.Second // the store comes back
)

// words is how each reason is spelled.
var words = map[ccs.Reason]word{
	ccs.UnknownToken:      {text: "InvalidRegistration"},
	ccs.WrongSender:       {text: "MismatchSenderId"},
	ccs.Unregistered:      {text: "NotRegistered"},
	ccs.NotRegistered:     {text: "NotRegistered"},
	ccs.InvalidTopic:      {text: "InvalidParameters", status: bad},
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

// reasons is what the core calls each fault of a request.
var reasons = [...]ccs.Reason{
	stanza.FaultTarget: ccs.MissingTarget, stanza.FaultSyntax: ccs.InvalidMessage, stanza.FaultType: ccs.InvalidMessage,
	stanza.FaultField: ccs.InvalidMessage, stanza.FaultSize: ccs.TooBig, stanza.FaultDataKey: ccs.InvalidDataKey,
	stanza.FaultTTL: ccs.BadTTL, stanza.FaultCollapseKey: ccs.BadCollapseKey, stanza.FaultPriority: ccs.BadPriority,
}
