package load_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/load"
)

func TestWhatBecomesOfAStream(t *testing.T) {
	plan := func(change func(*load.Plan)) *load.Plan {
		p := load.DefaultPlan()
		change(&p)
		return &p
	}
	ttls := func(text string) func(*load.Plan) {
		return func(p *load.Plan) { require.NoError(t, p.TTLs.UnmarshalText([]byte(text))) }
	}
	tests := []struct {
		name         string
		plan         *load.Plan
		got, refused []int64
		now          time.Duration
		want         load.Fate
	}{
		{name: "all came", plan: plan(ttls("1h")), got: []int64{0, 1, 2, 3, 4, 5}},
		{name: "what was refused is not lost", plan: plan(ttls("1h")), got: []int64{0, 3}, refused: []int64{1, 4, 5}, want: load.Fate{Lost: 1}},
		{name: "now or never", plan: plan(ttls("0")), got: []int64{5}, now: time.Minute, want: load.Fate{Expired: 5}},
		{name: "a time to live that is over for the first ones", plan: plan(ttls("10s")), got: []int64{2}, now: 13 * time.Second, want: load.Fate{Expired: 2, Lost: 3}},
		{name: "times to live take turns", plan: plan(ttls("0,1h")), now: time.Minute, want: load.Fate{Expired: 3, Lost: 3}},
		{
			name: "a later message with the same key took its place", plan: plan(func(p *load.Plan) { p.CollapseKeys = 2 }),
			got: []int64{4}, want: load.Fate{Collapsed: 4, Lost: 1}, // 0, 2 by 4; 1, 3 by 5
		},
		{
			name: "one that was refused takes nobody's place", plan: plan(func(p *load.Plan) { p.CollapseKeys = 2 }),
			got: []int64{0, 1, 2, 4}, refused: []int64{5}, want: load.Fate{Lost: 1},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, load.CountStream(tt.plan, 6, tt.got, tt.refused, tt.now))
		})
	}
}

func TestWhatIsLostUpstream(t *testing.T) {
	tests := []struct {
		name          string
		accepted, got []int64
		lost          int64
	}{
		{name: "nothing was accepted"},
		{name: "all came", accepted: []int64{0, 1, 2}, got: []int64{0, 1, 2}},
		{name: "what came without an ack is not lost", got: []int64{0, 1, 2}},
		{name: "the last one", accepted: []int64{0, 1, 2}, got: []int64{0, 1}, lost: 1},
		{name: "one in the middle", accepted: []int64{0, 1, 2}, got: []int64{0, 2}, lost: 1},
		{name: "one that was never acked", accepted: []int64{0, 2}, got: []int64{0, 2}},
		{name: "acks in any order", accepted: []int64{2, 0, 1}, got: []int64{2}, lost: 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var a load.Account
			for _, seq := range tt.accepted {
				a.Accept(seq)
			}
			for _, seq := range tt.got {
				a.Arrived(seq)
			}
			assert.Equal(t, tt.lost, a.LostUpstream(5))
		})
	}
}

func TestAnAccountKnowsWhatCameTwice(t *testing.T) {
	var a load.Account
	assert.Equal(t, "in order", a.Arrived(0))
	assert.Equal(t, "duplicate", a.Arrived(0))
	assert.Equal(t, "in order", a.Receipt(0), "receipts are numbered for themselves")
	assert.Equal(t, "in order", a.Receipt(2))
	assert.Equal(t, "late", a.Receipt(1))
	assert.Equal(t, "duplicate", a.Receipt(1))
}

// After too many exceptions the oldest are untracked, and none of them counts as lost.
func TestAnAccountOfManyExceptions(t *testing.T) {
	plan := load.DefaultPlan()
	var got, refused []int64
	const groups = load.MaxSpans + 10
	for seq := range int64(4 * groups) {
		switch seq % 4 {
		case 0, 2:
			got = append(got, seq)
		case 1:
			refused = append(refused, seq)
		}
	}
	// The last message is missing too, and no later one makes it a gap.
	const gaps = 2*groups - 1
	want := load.Fate{Lost: load.MaxSpans/2 + 1, Untracked: gaps - load.MaxSpans + groups - load.MaxSpans}
	assert.Equal(t, want, load.CountStream(&plan, 4*groups, got, refused, 0))
}
