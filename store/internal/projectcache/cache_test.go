package projectcache_test

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/internal/projectcache"
)

// The memory of a sender may be reused by the caller, as with the texts of a batch of messages.
func TestTheCallersMemoryIsNotKept(t *testing.T) {
	c := projectcache.New()
	reads := 0
	get := func(sender string) {
		p, err := c.Get(sender, func() (*store.Project, error) { reads++; return &store.Project{Sender: sender}, nil })
		require.NoError(t, err)
		assert.Equal(t, sender, p.Sender)
	}
	memory := []byte("1234")
	_, err := c.Get(unsafe.String(&memory[0], len(memory)), func() (*store.Project, error) { reads++; return &store.Project{Sender: "1234"}, nil })
	require.NoError(t, err)
	copy(memory, "5678")
	get("1234")
	assert.Equal(t, 1, reads)
	c.Forget("1234")
	get("1234")
	assert.Equal(t, 2, reads, "what changed is read again")
}
