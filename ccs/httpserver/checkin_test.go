package httpserver_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/mcs"
)

func checkinBody(id, token uint64) string {
	return string((&mcs.CheckinRequest{AndroidID: id, SecurityToken: token, Version: mcs.CheckinVersion}).Append(nil))
}

// 401 is for a wrong pair, and 400 is never used (DEV 2.1, 2.3, 2.4).
func TestCheckInAnswers(t *testing.T) {
	rows := []struct {
		name    string
		body    string
		headers []string
		err     error
		status  int
	}{
		{name: "a new device", body: checkinBody(0, 0), status: 200},
		{name: "a new device that leaves id and token out", body: "\x22\x00", status: 200},
		{name: "a device again", body: checkinBody(knownID, knownToken), status: 200},
		{name: "a gzipped body", body: zipped(checkinBody(knownID, knownToken)), headers: []string{"Content-Encoding", "gzip"}, status: 200},
		{name: "an unknown device", body: checkinBody(5, knownToken), status: 401},
		{name: "a wrong token", body: checkinBody(knownID, 6), status: 401},
		{name: "an id without a token", body: checkinBody(knownID, 0), status: 401},
		{name: "a body that is none", body: "\xff", status: 422},
		{name: "a body that is not gzipped as it says", body: checkinBody(0, 0), headers: []string{"Content-Encoding", "gzip"}, status: 422},
		{name: "an encoding that nobody uses", body: checkinBody(0, 0), headers: []string{"Content-Encoding", "br"}, status: 415},
		{name: "a body without end", body: strings.Repeat("\x22\x00", 200<<10), status: 413},
		{name: "a zip bomb", body: zipped(strings.Repeat("\x22\x00", 1<<20)), headers: []string{"Content-Encoding", "gzip"}, status: 413},
		{name: "a failure of ours", body: checkinBody(0, 0), err: errors.New("disk full"), status: 503},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			resp := request(t, &devices{err: row.err}, "POST", "/checkin", row.body, row.headers...)
			require.Equal(t, row.status, resp.StatusCode)
			if row.status != http.StatusOK {
				return
			}
			assert.Equal(t, "application/x-protobuffer", resp.Header.Get("Content-Type"))
			var got mcs.CheckinResponse
			require.NoError(t, got.Unmarshal([]byte(text(t, resp))))
			assert.True(t, got.StatsOK)
			assert.WithinDuration(t, time.Now(), time.UnixMilli(got.TimeMS), time.Minute)
			assert.EqualValues(t, knownID, got.AndroidID)
			assert.EqualValues(t, knownToken, got.SecurityToken)
			assert.Nil(t, got.SettingsDiff, "the device's settings stay as they are")
		})
	}
}

func TestCheckInErrorsAreZippedToo(t *testing.T) {
	resp := request(t, &devices{}, "POST", "/checkin", checkinBody(5, 6), "Accept-Encoding", "gzip")
	assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	assert.Equal(t, "unknown device", unzipped(t, text(t, resp)))
}
