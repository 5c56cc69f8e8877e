package gcmhttp

import (
	"net/http"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/stanza"
)

// groupAnswer returns the answer to a message to a device group (TOPICS 4.2). It has no results and
// no multicast_id, because a client of Google tells groups from registrations by that.
func (c *call) groupAnswer(r *ccs.Result) httpserver.Answer {
	a := httpserver.Answer{Status: http.StatusOK, ContentType: jsonType, Outcome: "ok"}
	switch {
	case r.Group.Success == 0:
		a.Status, a.ContentType, a.RetryAfter = http.StatusServiceUnavailable, textType, later
		a.Body = []byte("Unavailable")
		if r.Refusal != nil {
			a.Outcome = r.Refusal.Reason.String()
		}
	case c.format == formFormat:
		a.ContentType, a.Body = textType, c.appendText(nil)
	default:
		a.Body = append(stanza.AppendGroupResult([]byte{'{'}, r.Group.Success, r.Group.Failed), '}')
	}
	return a
}
