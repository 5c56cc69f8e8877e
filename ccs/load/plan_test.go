package load_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/load"
)

func TestMixes(t *testing.T) {
	var s load.Sizes
	require.NoError(t, s.UnmarshalText([]byte("64*3,1024,4000*2")))
	assert.Equal(t, []int{64, 4000, 64, 1024, 4000, 64}, s.All(), "each is spread as evenly as its weight allows")
	assert.Equal(t, 4000, s.At(7))
	text, err := s.MarshalText()
	require.NoError(t, err)
	assert.Equal(t, "64*3,1024,4000*2", string(text))

	var ttls load.TTLs
	require.NoError(t, ttls.UnmarshalText([]byte("0, 1h, 90")))
	assert.Equal(t, []time.Duration{0, time.Hour, 90 * time.Second}, ttls.All())

	for _, text := range []string{"", "10", "5000", "64*0", "64*x", "64*1000,64", "sixty"} {
		assert.Error(t, s.UnmarshalText([]byte(text)), text)
	}
	for _, text := range []string{"-1", "1.5s", "29d", "700h", "soon"} {
		assert.Error(t, ttls.UnmarshalText([]byte(text)), text)
	}
	var p load.Priorities
	require.NoError(t, p.UnmarshalText([]byte("normal*9,high")))
	assert.Error(t, p.UnmarshalText([]byte("urgent")))
}

func TestAPlanReportsEveryMistake(t *testing.T) {
	p := load.DefaultPlan()
	require.NoError(t, p.Validate())
	p.Senders, p.Devices, p.InFlight, p.Rate, p.Duration = 0, 0, 0, -1, 0
	p.DeviceProtocol = "mtalk"
	p.Receipts, p.CollapseKeys, p.Away, p.Upstream = 101, 5, true, 1
	err := p.Validate()
	for _, flag := range []string{
		"--senders 0", "--devices 0", `--device-protocol "mtalk"`, "--in-flight 0", "--rate -1", "--duration 0s", "--receipts 101", "--collapse-keys 5", "--away and --upstream",
	} {
		assert.ErrorContains(t, err, flag)
	}
}

// The rate grows during the ramp and stays constant after it. A ramp of one second has half of a
// second's messages.
func TestWhenMessagesAreDue(t *testing.T) {
	assert.Equal(t, time.Duration(0), load.Due(1000, 0, 0))
	assert.Equal(t, time.Second, load.Due(1000, 0, 1000))
	assert.Equal(t, time.Second, load.Due(1000, time.Second, 500), "the ramp ends")
	assert.Equal(t, 2*time.Second, load.Due(1000, time.Second, 1500))
	assert.Equal(t, 500*time.Millisecond, load.Due(1000, time.Second, 125), "a quarter of them in its first half")
	assert.Equal(t, 3*time.Millisecond, load.Due(400, 0, 1), "2.5 ms: the next tick")
	for i := range int64(5000) {
		require.LessOrEqual(t, load.Due(1000, time.Second, i), load.Due(1000, time.Second, i+1))
	}
}
