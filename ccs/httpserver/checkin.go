package httpserver

import (
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/mcs"
)

// maxCheckin bounds a check-in. Browsers send a hundred bytes, phones a few KiB of facts and
// events.
const maxCheckin = 256 << 10

// checkIn is POST /checkin (DEV 2). At 400 and 401 a device discards its identity and its tokens;
// at any other error it tries again. So 401 is only for a wrong pair, and 400 is never used.
func (s *Server) checkIn(r *http.Request) Answer {
	body, err := ReadBody(r, maxCheckin)
	switch {
	case errors.Is(err, ErrTooLarge):
		return Text(http.StatusRequestEntityTooLarge, err.Error())
	case errors.Is(err, ErrEncoding):
		return Text(http.StatusUnsupportedMediaType, err.Error())
	case errors.Is(err, ErrNoRoom):
		return TryLater()
	case err != nil:
		return Text(http.StatusUnprocessableEntity, "unreadable body")
	}
	var req mcs.CheckinRequest
	if err := req.Unmarshal(body); err != nil {
		return Text(http.StatusUnprocessableEntity, "not a check-in request")
	}

	id, token, err := s.devices.CheckIn(r.Context(), req.AndroidID, req.SecurityToken)
	var a Answer
	fields := []zap.Field{zap.Bool("enrolled", err == nil && req.AndroidID == 0)}
	switch {
	case errors.Is(err, ccs.ErrUnknownDevice):
		a = Text(http.StatusUnauthorized, "unknown device")
	case err != nil:
		a = TryLater()
		a.Err = err
	default:
		resp := mcs.CheckinResponse{
			StatsOK: true, TimeMS: time.Now().UnixMilli(), AndroidID: id, SecurityToken: token,
		}
		s.settings.addTo(&resp, req.Digest)
		a = Answer{Status: http.StatusOK, ContentType: "application/x-protobuffer", Body: resp.Append(nil)}
		fields = append(fields, zap.Stringer("device", ccs.DeviceID(id)))
	}
	a.Fields = fields
	return a
}
