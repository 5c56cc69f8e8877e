package gcmhttp

import (
	"context"
	"mime"
	"net/http"
	"strings"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/ccs/payload"
)

// Router takes messages; ccs.Router implements it.
type Router interface {
	Send(ctx context.Context, from ccs.Source, batch []ccs.Downstream, dst []ccs.Result) []ccs.Result
	Profile() ccs.Profile
}

// maxBody is the maximum size of a request. A thousand tokens of the usual length are 160 KiB.
const maxBody = 1 << 20

type door struct {
	router Router
	auth   *httpserver.Auth
	rules  payload.Rules
	ids    messageIDs
}

// Routes returns the calls of the door (CCS 6.1).
func Routes(r Router, auth *httpserver.Auth) []httpserver.Route {
	d := &door{router: r, auth: auth, rules: r.Profile().Payload, ids: newMessageIDs()}
	return []httpserver.Route{
		{Pattern: "POST /gcm/send", Door: "gcm", Call: d.send},
		{Pattern: "POST /fcm/send", Door: "gcm", Call: d.send},
	}
}

// format is the format of a request and its answer.
type format uint8

const (
	unknownFormat format = iota
	jsonFormat
	formFormat
)

// formatOf returns the format that a Content-Type names. None stands for a form (CCS 6.3).
func formatOf(contentType string) format {
	switch contentType { // the usual ones, without the cost of a parser
	case "":
		return formFormat
	case "application/json":
		return jsonFormat
	}
	name, _, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "application/json":
		return jsonFormat
	case "application/x-www-form-urlencoded":
		return formFormat
	}
	if parsed, _, err := mime.ParseMediaType(contentType); err == nil && parsed == "application/json" {
		return jsonFormat
	}
	return unknownFormat
}

// send answers a send request.
func (d *door) send(r *http.Request) httpserver.Answer {
	who, err := d.auth.Sender(r)
	if err != nil {
		return httpserver.AuthAnswer(err)
	}
	a := d.sendAs(r, &who)
	a.Sender = string(who.Sender)
	return a
}

func (d *door) sendAs(r *http.Request, who *ccs.Authorization) httpserver.Answer {
	f := formatOf(r.Header.Get("Content-Type"))
	if f == unknownFormat {
		a := httpserver.Text(http.StatusBadRequest, "Content-Type must be application/json or application/x-www-form-urlencoded")
		a.Outcome = "content_type"
		return a
	}
	body, err := httpserver.ReadSenderBody(r, maxBody)
	if err != nil {
		a := httpserver.BodyAnswer(err)
		a.Outcome = "body"
		return a
	}
	c := calls.Get().(*call)
	defer c.done()
	c.format = f
	if f == formFormat {
		body = appendForm(nil, string(body))
	}
	if err := c.decode(body, &d.rules); err != nil {
		return c.refuse(err)
	}
	return d.route(r.Context(), c, who)
}

// route gives all messages of a request to the router in one batch.
func (d *door) route(ctx context.Context, c *call, who *ccs.Authorization) httpserver.Answer {
	c.compose(&d.ids)
	from := ccs.Source{Sender: who.Sender, PerSecond: who.Limits.PerSecond}
	c.results = d.router.Send(ctx, from, c.batch, c.results)
	return c.answer()
}
