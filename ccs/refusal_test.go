package ccs_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/stanza"
	"github.com/openccs/openccs/store"
)

// CCS 3.3: SERVICE_UNAVAILABLE is for what the peer shall try again, INTERNAL_SERVER_ERROR for what nobody foresaw.
func TestRefusal(t *testing.T) {
	t.Parallel()
	rate := &stanza.Error{Code: stanza.DeviceMessageRateExceeded, Description: "slower"}
	for _, row := range []struct {
		name string
		err  error
		want stanza.Code
	}{
		{"the store is unavailable", fmt.Errorf("look up: disk full: %w", store.ErrUnavailable), stanza.ServiceUnavailable},
		{"the store is closed", fmt.Errorf("put: %w", store.ErrClosed), stanza.ServiceUnavailable},
		{"the session has ended", fmt.Errorf("put: %w", context.Canceled), stanza.ServiceUnavailable},
		{"the store took too long", fmt.Errorf("put: %w", context.DeadlineExceeded), stanza.ServiceUnavailable},
		{"nobody knows what it is", errors.New("damaged"), stanza.InternalServerError},
		{"it is a refusal already", fmt.Errorf("put: %w", rate), stanza.DeviceMessageRateExceeded},
	} {
		t.Run(row.name, func(t *testing.T) {
			assert.Equal(t, row.want, ccs.Refusal(row.err).Code)
		})
	}
}
