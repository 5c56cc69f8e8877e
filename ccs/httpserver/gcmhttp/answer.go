package gcmhttp

import (
	"errors"
	"net/http"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/stanza"
)

const (
	jsonType = "application/json; charset=UTF-8" // CCS 6.5
	textType = "text/plain; charset=UTF-8"
)

// refuse returns the answer to a request that the decoder refused. Nothing was sent.
func (c *call) refuse(err error) httpserver.Answer {
	var e *stanza.Error
	if !errors.As(err, &e) || int(e.Fault) >= len(reasons) || e.Fault == 0 {
		return httpserver.Answer{Status: http.StatusInternalServerError, ContentType: textType, Err: err, Outcome: "internal"}
	}
	reason := reasons[e.Fault]
	if reason == ccs.InvalidMessage && c.format == jsonFormat {
		text := e.Text
		if e.Fault == stanza.FaultSyntax {
			text = "JSON_PARSING_ERROR: " + text
		}
		return httpserver.Answer{Status: http.StatusBadRequest, ContentType: textType, Body: []byte(text), Outcome: reason.String()}
	}
	if e.Fault == stanza.FaultType && e.Field == "time_to_live" {
		reason = ccs.BadTTL // a form has no types (CCS 6.7)
	}
	// The answer has one result for each recipient, as if the router had refused each.
	refusal := &ccs.Refusal{Reason: reason, Detail: e.Text}
	for range max(1, len(c.request.Tokens)) {
		c.results = append(c.results, ccs.Result{Refusal: refusal})
	}
	return c.answer()
}

// answer returns the answer to a request from the results of its messages.
func (c *call) answer() httpserver.Answer {
	if len(c.results) == 1 && c.results[0].Group != nil {
		return c.groupAnswer(&c.results[0])
	}
	a := httpserver.Answer{Status: http.StatusOK, ContentType: jsonType, Outcome: "ok"}
	refused := 0
	for i := range c.results {
		refusal := c.results[i].Refusal
		if refusal == nil {
			continue
		}
		refused++
		w := wordOf(refusal)
		a.RetryAfter = max(a.RetryAfter, w.after)
		if refused == 1 {
			a.Outcome = refusal.Reason.String()
		}
	}
	if refused == len(c.results) {
		if status := c.sameStatus(); status != http.StatusOK {
			return c.failed(&a, status)
		}
	}
	switch {
	case c.format == formFormat:
		a.ContentType = textType
		a.Body = c.appendText(make([]byte, 0, 128))
	case !c.request.Multicast && c.toTopic():
		a.Body = c.appendTopic(make([]byte, 0, 64))
	default:
		a.Body = c.appendResults(make([]byte, 0, 128+len(c.results)*(messageIDLen+20)))
	}
	return a
}

// sameStatus returns the status that every refusal stands for, or 200 if they differ.
func (c *call) sameStatus() int {
	status := http.StatusOK
	for i := range c.results {
		w := wordOf(c.results[i].Refusal)
		s := w.status
		if c.format == formFormat {
			s = max(s, w.form)
		}
		if i > 0 && s != status {
			return http.StatusOK
		}
		status = s
	}
	return status
}

// failed returns the answer to a request that failed as a whole.
func (c *call) failed(a *httpserver.Answer, status int) httpserver.Answer {
	a.Status = status
	w := wordOf(c.results[0].Refusal)
	switch {
	case status == http.StatusBadRequest && c.format == jsonFormat:
		a.Body = append(stanza.AppendJSONString([]byte(`{"error":`), w.text), '}')
	case status == http.StatusBadRequest:
		a.ContentType, a.Body = textType, []byte("Error="+w.text)
	default:
		a.ContentType, a.Body = textType, []byte(w.text)
	}
	return *a
}

// appendResults appends the answer to a request for registrations (CCS 6.5).
func (c *call) appendResults(b []byte) []byte {
	success, canonical := 0, 0
	for i := range c.results {
		if c.results[i].Refusal == nil {
			success++
			if c.results[i].Canonical != "" {
				canonical++
			}
		}
	}
	b = append(b, `{"multicast_id":`...)
	b = appendNumber(b, c.number)
	b = append(b, `,"success":`...)
	b = appendNumber(b, uint64(success))
	b = append(b, `,"failure":`...)
	b = appendNumber(b, uint64(len(c.results)-success))
	b = append(b, `,"canonical_ids":`...)
	b = appendNumber(b, uint64(canonical))
	b = append(b, `,"results":[`...)
	for i := range c.results {
		r := &c.results[i]
		if i > 0 {
			b = append(b, ',')
		}
		if r.Refusal != nil {
			b = append(b, `{"error":"`...)
			b = append(b, wordOf(r.Refusal).text...)
			b = append(b, `"}`...)
			continue
		}
		b = append(b, `{"message_id":"`...)
		b = append(b, r.ID...)
		if r.Canonical != "" {
			b = append(b, `","registration_id":`...)
			b = append(stanza.AppendJSONString(b, r.Canonical), '}')
			continue
		}
		b = append(b, `"}`...)
	}
	return append(b, "]}"...)
}

// appendTopic appends the answer to a request for a topic or a condition.
func (c *call) appendTopic(b []byte) []byte {
	if refusal := c.results[0].Refusal; refusal != nil {
		return append(stanza.AppendJSONString(append(b, `{"error":`...), wordOf(refusal).text), '}')
	}
	b = append(b, `{"message_id":`...)
	return append(appendNumber(b, uint64(c.results[0].TopicID)), '}')
}

// appendText appends the answer to a form (CCS 6.6).
func (c *call) appendText(b []byte) []byte {
	r := &c.results[0]
	if r.Refusal != nil {
		return append(append(b, "Error="...), wordOf(r.Refusal).text...)
	}
	if r.TopicID != 0 {
		return appendNumber(append(b, "id="...), uint64(r.TopicID))
	}
	b = append(append(b, "id="...), r.ID...)
	if r.Canonical != "" {
		b = append(append(b, "\nregistration_id="...), r.Canonical...)
	}
	return b
}
