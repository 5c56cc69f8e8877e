package httpserver_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/ccs/mcs"
)

// Settings replace all of the device's, unless its digest says that it has exactly these (DEV 2.5).
func TestSettings(t *testing.T) {
	s := httpserver.New(&devices{}, httpserver.Options{Settings: map[string]string{
		"gcm_secure_port": "5228", "gcm_hostname": "push.example.org",
	}})
	ask := func(digest string) mcs.CheckinResponse {
		body := (&mcs.CheckinRequest{Digest: digest, Version: mcs.CheckinVersion}).Append(nil)
		resp := requestOf(t, s, "192.0.2.1", "POST", "/checkin", string(body))
		require.Equal(t, 200, resp.StatusCode)
		var got mcs.CheckinResponse
		require.NoError(t, got.Unmarshal([]byte(text(t, resp))))
		return got
	}
	// SHA-1 of "gcm_hostname\0push.example.org\0gcm_secure_port\05228\0".
	const digest = "1-0d2529e6143a0aa3d9ee6e40d5b2416a6bb8d735"
	for name, has := range map[string]string{"nothing": "", "the empty table": mcs.EmptySettingsDigest, "others": "1-0123"} {
		t.Run("a device that has "+name, func(t *testing.T) {
			got := ask(has)
			require.NotNil(t, got.SettingsDiff)
			assert.False(t, *got.SettingsDiff)
			assert.Equal(t, []mcs.Setting{
				{Name: "gcm_hostname", Value: "push.example.org"}, {Name: "gcm_secure_port", Value: "5228"},
			}, got.Settings)
			assert.Equal(t, digest, got.Digest)
		})
	}
	got := ask(digest)
	assert.Nil(t, got.SettingsDiff)
	assert.Empty(t, got.Settings)
	assert.Equal(t, digest, got.Digest)
}

func TestWithoutSettingsADeviceKeepsItsOwn(t *testing.T) {
	body := (&mcs.CheckinRequest{Digest: "1-0123"}).Append(nil)
	var got mcs.CheckinResponse
	require.NoError(t, got.Unmarshal([]byte(text(t, request(t, &devices{}, "POST", "/checkin", string(body))))))
	assert.Nil(t, got.SettingsDiff)
	assert.Empty(t, got.Settings)
	assert.Empty(t, got.Digest)
}
