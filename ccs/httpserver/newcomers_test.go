package httpserver_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/store/memstore"
)

// Devices that check in and register and never connect do not fill the store: each address has a
// daily limit.
func TestNewDevicesOfAnAddressAreCounted(t *testing.T) {
	t.Parallel()
	st := memstore.New()
	defer st.Close()
	router, err := ccs.New(t.Context(), st, ccs.Options{})
	require.NoError(t, err)
	s := httpserver.New(router, httpserver.Options{PerAddress: flowcontrol.Rate{Every: time.Microsecond, Burst: 1_000_000}})
	register := func(from string) *http.Response {
		id, token, err := router.CheckIn(t.Context(), 0, 0)
		require.NoError(t, err)
		form := url.Values{"app": {"a"}, "sender": {"1"}, "device": {strconv.FormatUint(id, 10)}}
		return requestOf(t, s, from, "POST", "/c2dm/register3", form.Encode(),
			"Authorization", fmt.Sprintf("AidLogin %d:%d", id, token), "Content-Type", "application/x-www-form-urlencoded")
	}
	accepted := map[string]int{}
	const tries = 1100
	for range tries {
		for _, from := range []string{"198.51.100.1", "2001:db8::1", "127.0.0.1"} {
			if register(from).StatusCode == http.StatusOK {
				accepted[from]++
			}
		}
	}
	assert.Equal(t, map[string]int{"198.51.100.1": 1000, "2001:db8::1": 1000, "127.0.0.1": tries}, accepted)

	refused := register("2001:db8::2")
	assert.Equal(t, http.StatusServiceUnavailable, refused.StatusCode, "the same network, and the device tries again")
	assert.Equal(t, "30", refused.Header.Get("Retry-After"))
	assert.Equal(t, "Error=InternalServerError", text(t, refused))
	assert.Equal(t, http.StatusOK, register("2001:db8:0:1::1").StatusCode, "another network")
}
