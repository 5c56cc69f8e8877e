package ccstest_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/stanza"
)

// GCM 3.0 refuses a key of 2013 that only begins with google; the default accepts it (CCS 2.4).
func TestAProfileReachesTheServer(t *testing.T) {
	for _, row := range []struct {
		profile string
		refused stanza.Code
	}{{ccs.DefaultProfile, ""}, {ccs.ProfileGCM2013, ""}, {ccs.ProfileGCM2015, stanza.InvalidJSON}} {
		t.Run(row.profile, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				profile, ok := ccs.NamedProfile(row.profile)
				require.True(t, ok)
				s := ccstest.Start(t, ccstest.InMemory, ccstest.Profile(profile))
				app := s.AppServer(ccsclient.Options{})
				_, err := app.SendWait(t.Context(), &ccsclient.Message{To: s.Enrol("app").Token, Data: map[string]string{"googleId": "1"}})
				if row.refused == "" {
					assert.NoError(t, err)
					return
				}
				var nack *ccsclient.Nack
				require.ErrorAs(t, err, &nack)
				assert.Equal(t, row.refused, nack.Code)
			})
		})
	}
}
