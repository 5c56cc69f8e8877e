package httpserver_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/flowcontrol"
)

// An address that calls too often gets an answer that every client takes for a reason to try again
// later (DEV 2.1, 3.4).
func TestAnAddressThatCallsTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := httpserver.New(&devices{}, httpserver.Options{PerAddress: flowcontrol.Rate{Every: time.Second, Burst: 2}})
		checkin := func(from string) *http.Response {
			return requestOf(t, s, from, "POST", "/checkin", checkinBody(0, 0))
		}
		require.Equal(t, 200, checkin("192.0.2.1").StatusCode)
		require.Equal(t, 200, checkin("192.0.2.1").StatusCode)
		resp := checkin("192.0.2.1")
		assert.Equal(t, 429, resp.StatusCode)
		assert.Equal(t, "30", resp.Header.Get("Retry-After"))
		for _, path := range []string{"/c2dm/register3", "/c2dm/register"} {
			resp = requestOf(t, s, "192.0.2.1", "POST", path, device+"app=a&sender=1", "Authorization", login)
			assert.Equal(t, 429, resp.StatusCode)
			assert.Equal(t, "30", resp.Header.Get("Retry-After"))
			assert.Equal(t, "Error=InternalServerError", text(t, resp), "which is tried again, removals too")
		}
		assert.Equal(t, 200, requestOf(t, s, "192.0.2.1", "GET", "/healthz", "").StatusCode)

		require.Equal(t, 200, checkin("192.0.2.2").StatusCode, "another address")
		time.Sleep(time.Second)
		require.Equal(t, 200, checkin("192.0.2.1").StatusCode)
		require.Equal(t, 429, checkin("::ffff:192.0.2.1").StatusCode, "the same in another form")

		require.Equal(t, 200, checkin("2001:db8::1").StatusCode)
		require.Equal(t, 200, checkin("2001:db8::2").StatusCode)
		require.Equal(t, 429, checkin("2001:db8::3").StatusCode, "one party has the last 64 bits")
		require.Equal(t, 200, checkin("2001:db8:0:1::1").StatusCode)

		for range 10 {
			require.Equal(t, 200, checkin("127.0.0.1").StatusCode, "a proxy on this machine is everybody")
		}
	})
}
