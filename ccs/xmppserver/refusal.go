package xmppserver

import (
	"errors"
	"strings"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/stanza"
)

// nacks holds the code and the description of each reason in a nack (CCS 3.3, 8). "%s" stands for
// the refusal's detail.
var nacks = map[ccs.Reason]struct {
	code        stanza.Code
	description string
}{
	ccs.UnknownToken:      {stanza.BadRegistration, "Invalid token on 'to' field: %s"},
	ccs.WrongSender:       {stanza.BadRegistration, "Invalid token on 'to' field: %s"},
	ccs.InvalidTopic:      {stanza.BadRegistration, "Invalid token on 'to' field: %s"},
	ccs.InvalidCondition:  {stanza.InvalidJSON, "InvalidParameters: the condition is not valid: %s"},
	ccs.Unregistered:      {stanza.DeviceUnregistered, "The app instance is no longer registered"},
	ccs.NotRegistered:     {stanza.DeviceUnregistered, "The app instance is not registered for this sender"},
	ccs.UnknownSender:     {stanza.InvalidJSON, "No such sender ID"},
	ccs.InvalidPackage:    {stanza.InvalidJSON, "InvalidPackageName: the registration is not of %s"},
	ccs.InvalidMessage:    {stanza.InvalidJSON, "InvalidJson: JSON_PARSING_ERROR : %s"},
	ccs.MissingTarget:     {stanza.InvalidJSON, "InvalidJson: JSON_PARSING_ERROR : Missing Required Field: to"},
	ccs.TooBig:            {stanza.InvalidJSON, "InvalidJson: MESSAGE_TOO_BIG : %s"},
	ccs.InvalidDataKey:    {stanza.InvalidJSON, "InvalidJson: INVALID_DATA_KEY : %s"},
	ccs.BadTTL:            {stanza.InvalidJSON, "InvalidJson: INVALID_TTL : %s"},
	ccs.BadCollapseKey:    {stanza.InvalidJSON, "InvalidJson: INVALID_COLLAPSE_KEY : %s"},
	ccs.BadPriority:       {stanza.InvalidJSON, "InvalidJson: INVALID_PRIORITY : %s"},
	ccs.RateExceeded:      {stanza.DeviceMessageRateExceeded, "Downstream message rate exceeded for this registration id"},
	ccs.QueueFull:         {stanza.DeviceMessageRateExceeded, "Downstream message rate exceeded for this registration id"},
	ccs.TopicRateExceeded: {stanza.TopicsMessageRateExceeded, "Message rate exceeded for this topic"},
	ccs.QuotaExceeded:     {stanza.ServiceUnavailable, "The quota of %s messages a second is used up"},
	ccs.WindowExceeded:    {stanza.ServiceUnavailable, "More than %s messages are unanswered on this connection"},
	ccs.Draining:          {stanza.ConnectionDraining, "Connection is draining"},
	ccs.RepeatRefused:     {stanza.ServiceUnavailable, "The same message, sent before, was not accepted"},
	ccs.Unavailable:       {stanza.ServiceUnavailable, "The message could not be stored now"},
	ccs.NobodyConnected:   {stanza.ServiceUnavailable, "Nobody is connected"},
	ccs.Expired:           {stanza.ServiceUnavailable, "The message has expired"},
	ccs.Damaged:           {stanza.InternalServerError, "The queue of the message is damaged"},
	ccs.Internal:          {stanza.InternalServerError, "The message could not be stored"},
}

// nackOf returns the code and description of a nack for an error of package stanza or a refusal of
// the router, as an era spelled them. cause is the error to log, or nil if the peer is at fault.
func nackOf(err error, era ccs.Spellings) (code stanza.Code, description string, cause error) {
	var malformed *stanza.Error
	if errors.As(err, &malformed) {
		return malformed.Code, malformed.Description, malformed.Err
	}
	refusal := ccs.RefusalOf(err)
	n, ok := nacks[refusal.Reason]
	if !ok {
		n = nacks[ccs.Internal]
	}
	switch {
	case n.code == stanza.DeviceMessageRateExceeded && era.QuotaError:
		n.code = stanza.QuotaExceeded
	case refusal.Reason == ccs.WrongSender && era.MismatchError:
		n.code = stanza.SenderIDMismatch
	}
	return n.code, strings.Replace(n.description, "%s", refusal.Detail, 1), refusal.Err
}

// oneErrorText returns what stood in the error of a nack while that had no description (CCS 3.3):
// of malformed messages the text, of others the code.
func oneErrorText(code stanza.Code, description string) string {
	if text, ok := strings.CutPrefix(description, "InvalidJson: "); ok {
		return "InvalidJson : " + text + "\n"
	}
	return string(code)
}
