package xmppserver

import (
	"encoding/xml"
	"strconv"

	xstanza "mellium.im/xmpp/stanza"

	"github.com/openccs/openccs/stanza"
)

type iq struct {
	Children []struct {
		XMLName  xml.Name
		Resource string `xml:"resource"`
	} `xml:",any"`
}

// answerIQ appends the reply to a request (CCS 1.7, 1.8). Every get and set gets one; results and
// errors get none.
func (c *conn) answerIQ(b []byte, el *stanza.Element) ([]byte, error) {
	if el.Type == "result" || el.Type == "error" {
		return b, nil
	}
	var req iq
	if err := decode(el, &req); err != nil {
		return b, err
	}
	var child xml.Name
	if len(req.Children) > 0 {
		child = req.Children[0].XMLName
	}
	switch {
	case el.Type != "get" && el.Type != "set":
		return c.appendIQError(b, el, 400, xstanza.Modify, xstanza.BadRequest), nil
	case child.Space == nsBind && child.Local == "bind" && el.Type == "set":
		if c.jid != "" {
			return c.appendIQError(b, el, 405, xstanza.Cancel, xstanza.NotAllowed), nil
		}
		c.jid = c.newJID(req.Children[0].Resource)
		b = c.appendIQ(b, el, "result", false)
		b = append(b, `<bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><jid>`...)
		b = stanza.AppendEscaped(b, c.jid)
		return append(b, `</jid></bind></iq>`...), nil
	case child.Space == nsSession && child.Local == "session" && el.Type == "set",
		child.Space == nsPing && child.Local == "ping" && el.Type == "get":
		return c.appendIQ(b, el, "result", true), nil
	case child.Space == nsRoster && child.Local == "query" && el.Type == "get":
		b = c.appendIQ(b, el, "result", false)
		return append(b, `<query xmlns="jabber:iq:roster"/></iq>`...), nil
	case child.Space == nsDisco && child.Local == "query" && el.Type == "get":
		b = c.appendIQ(b, el, "result", false)
		return append(b, `<query xmlns="http://jabber.org/protocol/disco#info"><identity category="server" type="im"/><feature var="urn:xmpp:ping"/></query></iq>`...), nil
	}
	return c.appendIQError(b, el, 503, xstanza.Cancel, xstanza.ServiceUnavailable), nil
}

// appendIQ starts a reply. It mirrors the request's addressing: from is the request's to. If the
// request has no to, the reply has neither from nor to, or some clients would not recognise it as
// theirs (CCS 1.7).
func (c *conn) appendIQ(b []byte, el *stanza.Element, typ string, whole bool) []byte {
	b = append(b, "<iq "...)
	if el.To != "" {
		if c.jid != "" {
			b = append(b, `to="`...)
			b = stanza.AppendEscaped(b, c.jid)
			b = append(b, `" `...)
		}
		b = append(b, `from="`...)
		b = stanza.AppendEscaped(b, el.To)
		b = append(b, `" `...)
	}
	if el.HasID {
		b = append(b, `id="`...)
		b = stanza.AppendEscaped(b, el.ID)
		b = append(b, `" `...)
	}
	b = append(b, `type="`...)
	b = append(b, typ...)
	if whole {
		return append(b, `"/>`...)
	}
	return append(b, `">`...)
}

func (c *conn) appendIQError(b []byte, el *stanza.Element, code int, typ xstanza.ErrorType, condition xstanza.Condition) []byte {
	b = c.appendIQ(b, el, "error", false)
	b = append(b, `<error code="`...)
	b = strconv.AppendInt(b, int64(code), 10)
	b = append(b, `" type="`...)
	b = append(b, typ...)
	b = append(b, `"><`...)
	b = append(b, condition...)
	return append(b, ` xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>`...)
}
