package ccs_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/store"
)

// Unavailable is for errors after which the peer should try again, Internal for unexpected ones
// (CCS 3.3).
func TestRefusalOf(t *testing.T) {
	t.Parallel()
	rate := &ccs.Refusal{Reason: ccs.RateExceeded}
	for _, row := range []struct {
		name string
		err  error
		want ccs.Reason
	}{
		{"the store is unavailable", fmt.Errorf("look up: disk full: %w", store.ErrUnavailable), ccs.Unavailable},
		{"the store is closed", fmt.Errorf("put: %w", store.ErrClosed), ccs.Unavailable},
		{"the session has ended", fmt.Errorf("put: %w", context.Canceled), ccs.Unavailable},
		{"the store took too long", fmt.Errorf("put: %w", context.DeadlineExceeded), ccs.Unavailable},
		{"nobody knows what it is", errors.New("damaged"), ccs.Internal},
		{"it is a refusal already", fmt.Errorf("put: %w", rate), ccs.RateExceeded},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := ccs.RefusalOf(row.err)
			assert.Equal(t, row.want, got.Reason)
			assert.True(t, got == rate || errors.Is(got, row.err), "the log has the cause")
		})
	}
}

// Every reason has a name for logs and metrics.
func TestEveryReasonHasAName(t *testing.T) {
	t.Parallel()
	names := map[string]ccs.Reason{}
	for r := range ccs.Reasons() {
		assert.NotEmpty(t, r.String(), "reason %d", r)
		assert.NotContains(t, names, r.String())
		names[r.String()] = r
	}
	assert.Equal(t, ccs.UnknownToken, names["unknown_token"])
	assert.Equal(t, ccs.Internal, names["internal"])
	assert.Equal(t, "unknown", ccs.Reason(0).String())
	assert.Equal(t, "unknown", ccs.Reason(255).String())
}

func TestRefusalReadsAsALine(t *testing.T) {
	t.Parallel()
	assert.EqualError(t, &ccs.Refusal{Reason: ccs.InvalidPackage, Detail: "com.example.app"}, "invalid_package (com.example.app)")
	assert.EqualError(t, &ccs.Refusal{Reason: ccs.Unavailable, Err: errors.New("disk full")}, "unavailable: disk full")
}
