package chrome

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/httpserver"
)

// retryAfter is how long a client waits after a failure of the server.
const retryAfter = 30 * time.Second

// fault is an error answer (CCS 7.4).
type fault struct {
	status  int
	reason  string // the word in the envelope
	message string // "%s" stands for the detail of a refusal
}

// The texts are those of Google's documentation, for CCS 7.4 as well as 7.5.
var (
	parseError     = fault{http.StatusBadRequest, "parseError", "Parse Error"}
	invalidToken   = fault{http.StatusUnauthorized, "authError", "Invalid Credentials"}
	internalError  = fault{http.StatusInternalServerError, "internalError", "An internal error has occurred."}
	backendError   = fault{http.StatusServiceUnavailable, "backendError", "Backend Error"}
	notOwner       = fault{http.StatusInternalServerError, "internalError", "Google Account calling the push messaging service does not own the app or extension."}
	notSignedIn    = fault{http.StatusUnauthorized, "required", "The user is not signed in."}
	invalidChannel = fault{http.StatusBadRequest, "invalid", "Channel ID is invalid."}
	tooManyChannel = fault{http.StatusForbidden, "limitExceeded", "The device has too many channels, or the channel too many instances."}
	tooLarge       = fault{http.StatusRequestEntityTooLarge, "invalid", "Request Too Large"}
	unknownCoding  = fault{http.StatusUnsupportedMediaType, "invalid", "Unknown content encoding"}
)

// faults are the answers to the reasons of Router.SendChannel, in the order in which they are
// checked (CCS 7.4).
var faults = map[ccs.Reason]fault{
	ccs.InvalidMessage: parseError,
	ccs.UnknownToken:   invalidChannel,
	ccs.BadCollapseKey: {http.StatusBadRequest, "invalid", "Subchannel is invalid (four subchannels available; subchannel value must be 0, 1, 2, or 3)."},
	ccs.TooBig:         {http.StatusBadRequest, "invalid", "Payload is too long (must be 256 bytes or less)."},
	ccs.WrongSender:    notOwner,
	ccs.QuotaExceeded:  {http.StatusForbidden, "dailyLimitExceeded", "Daily message quota exceeded (%s message requests allowed per day)."},
	ccs.RateExceeded:   backendError,
	ccs.Unavailable:    backendError,
	ccs.Internal:       internalError,
}

// answer returns a fault as Google's JSON envelope.
func (f fault) answer() httpserver.Answer {
	type item struct {
		Domain  string `json:"domain"`
		Reason  string `json:"reason"`
		Message string `json:"message"`
	}
	var v struct {
		Error struct {
			Errors  []item `json:"errors"`
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	v.Error.Errors = []item{{"global", f.reason, f.message}}
	v.Error.Code, v.Error.Message = f.status, f.message
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // only for what has no JSON
	}
	a := httpserver.Answer{Status: f.status, ContentType: "application/json; charset=UTF-8", Body: body, Outcome: f.reason}
	if f.status == http.StatusServiceUnavailable {
		a.RetryAfter = retryAfter
	}
	return a
}

// refuse returns the answer to a refusal of the router.
func refuse(r *ccs.Refusal) httpserver.Answer {
	f, ok := faults[r.Reason]
	if !ok {
		f = internalError
	}
	if r.Reason == ccs.QuotaExceeded {
		f.message = strings.Replace(f.message, "%s", thousands(r.Detail), 1)
	}
	a := f.answer()
	a.Err, a.Outcome = r.Err, r.Reason.String()
	return a
}

// failed returns the answer to an error of the server.
func failed(err error) httpserver.Answer { return refuse(ccs.RefusalOf(err)) }

// thousands writes a number with commas, as the documentation writes the quota.
func thousands(digits string) string {
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1000 {
		return digits
	}
	return thousands(digits[:len(digits)-3]) + "," + digits[len(digits)-3:]
}

// ok is the answer to a device or an app.
func ok(v any) httpserver.Answer { return httpserver.JSON(http.StatusOK, v) }
