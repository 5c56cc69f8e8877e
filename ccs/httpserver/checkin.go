package httpserver

import (
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/mcs"
)

// maxCheckin bounds a check-in. Browsers send a hundred bytes, phones a few KiB of facts and events.
const maxCheckin = 256 << 10

// checkIn is POST /checkin (DEV 2). A device throws its identity and its tokens away at 400 and 401 and
// tries again at anything else, so that 401 is for a pair that is not right, and 400 for nothing.
func (s *Server) checkIn(r *http.Request) answer {
	body, err := readBody(r, maxCheckin)
	switch {
	case errors.Is(err, errTooLarge):
		return textAnswer(http.StatusRequestEntityTooLarge, err.Error())
	case errors.Is(err, errEncoding):
		return textAnswer(http.StatusUnsupportedMediaType, err.Error())
	case errors.Is(err, errNoRoom):
		return tryLater()
	case err != nil:
		return textAnswer(http.StatusUnprocessableEntity, "unreadable body")
	}
	var req mcs.CheckinRequest
	if err := req.Unmarshal(body); err != nil {
		return textAnswer(http.StatusUnprocessableEntity, "not a check-in request")
	}

	id, token, err := s.devices.CheckIn(r.Context(), req.AndroidID, req.SecurityToken)
	var a answer
	fields := []zap.Field{zap.Bool("enrolled", err == nil && req.AndroidID == 0)}
	switch {
	case errors.Is(err, ccs.ErrUnknownDevice):
		a = textAnswer(http.StatusUnauthorized, "unknown device")
	case err != nil:
		a = tryLater()
		a.err = err
	default:
		resp := mcs.CheckinResponse{
			StatsOK: true, TimeMS: time.Now().UnixMilli(), AndroidID: id, SecurityToken: token,
		}
		s.settings.addTo(&resp, req.Digest)
		a = answer{status: http.StatusOK, contentType: "application/x-protobuffer", body: resp.Append(nil)}
		fields = append(fields, zap.Stringer("device", ccs.DeviceID(id)))
	}
	a.fields = fields
	return a
}
