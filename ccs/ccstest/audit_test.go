package ccstest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/ccstest"
)

func TestAccounted(t *testing.T) {
	counts := func(accepted, ended, acceptedInDoubt, endedInDoubt int64) *ccs.Counts {
		c := &ccs.Counts{Accepted: accepted, AcceptedInDoubt: acceptedInDoubt, EndedInDoubt: endedInDoubt}
		c.Ended[ccs.Acknowledged] = ended
		return c
	}
	tests := []struct {
		name    string
		counts  *ccs.Counts
		waiting int64
		want    bool
	}{
		{"nothing happened", counts(0, 0, 0, 0), 0, true},
		{"all ended or wait", counts(5, 3, 0, 0), 2, true},
		{"what waited before has ended", counts(1, 3, 0, 0), -2, true},
		{"one is lost", counts(5, 3, 0, 0), 1, false},
		{"one was never accepted", counts(5, 3, 0, 0), 3, false},
		{"one in doubt was kept", counts(5, 3, 1, 0), 3, true},
		{"one in doubt was forgotten", counts(5, 3, 0, 1), 1, true},
		{"doubt explains one of two", counts(5, 3, 1, 0), 4, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := ccstest.Accounted(tt.counts, tt.waiting)
			assert.Equal(t, tt.want, err == nil, "%v", err)
		})
	}
}
