package mcs_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openccs/openccs/ccs/mcs"
)

// The digest of the empty table is the one that Chromium sends (DEV 2.5).
func TestSettingsDigest(t *testing.T) {
	assert.Equal(t, mcs.EmptySettingsDigest, mcs.SettingsDigest(nil))
	one := mcs.SettingsDigest([]mcs.Setting{{Name: "a", Value: "bc"}})
	assert.NotEqual(t, one, mcs.SettingsDigest([]mcs.Setting{{Name: "ab", Value: "c"}}), "names and values are kept apart")
	assert.NotEqual(t, one, mcs.SettingsDigest([]mcs.Setting{{Name: "a", Value: "b"}, {Name: "c"}}))
}
