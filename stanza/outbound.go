package stanza

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// DecodeOutbound decodes the payload of a message from this server or another (CCS 3.1 to 3.7;
// ToDevice). It accepts numbers for strings. It also accepts the nacks of 2013, which had all
// their text in error and no error_description. A message to a device is TypeUpstream as well.
// DecodeOutbound overwrites out. The strings share the payload's memory, but Data is a copy.
func DecodeOutbound(payload []byte, out *Outbound) error {
	*out = Outbound{}
	var d document
	if err := d.parse(payload, false); err != nil {
		return err
	}
	out.From = d.text(fieldFrom)
	out.MessageID = d.messageID()
	out.Category = d.text(fieldCategory)
	out.Subtype = d.text(fieldSubtype)
	out.CollapseKey = d.text(fieldCollapseKey)
	switch t := d.text(fieldMessageType); t {
	case "ack":
		out.Type = TypeAck
		out.RegistrationID = d.text(fieldRegistrationID)
	case "nack":
		out.Type = TypeNack
		out.Error, out.Description = nackError(d.text(fieldError), d.text(fieldErrorDescription))
	case "control":
		out.Type = TypeControl
		out.ControlType = d.text(fieldControlType)
	case "receipt":
		out.Type = TypeReceipt
	case DeletedMessages:
		out.Type = TypeDeletedMessages
	case SendError:
		out.Type = TypeSendError
	case "":
		out.Type = TypeUpstream
	default:
		return fmt.Errorf("unknown message_type %.64q", t)
	}
	if v := d.fields[fieldTTL]; v.kind == kindNumber || v.kind == kindString {
		seconds, err := strconv.ParseInt(d.string(v), 10, 32)
		if err != nil {
			return fmt.Errorf("time_to_live: %w", err)
		}
		out.TTL = time.Duration(seconds) * time.Second
	}
	if v := d.fields[fieldData]; v.kind == kindObject {
		out.Data = d.object(fieldData).AppendData(make(Data, 0, v.end-v.start))
	}
	return nil
}

// nackError splits the error of a nack into code and text. The nacks of 2013 have "InvalidJson :
// INVALID_TTL : Invalid value ..." in error only.
func nackError(code, description string) (Code, string) {
	if description == "" && strings.Contains(code, " : ") {
		description = strings.TrimSpace(code)
		code, _, _ = strings.Cut(code, " : ")
		if strings.EqualFold(code, "InvalidJson") {
			code = string(InvalidJSON)
		}
	}
	return Code(code), description
}
