package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestByteSize(t *testing.T) {
	for text, want := range map[string]byteSize{"1": 1, "100B": 100, "64KiB": 64 << 10, "512MiB": 512 << 20, "2G": 2 << 30} {
		var got byteSize
		assert.NoError(t, got.UnmarshalText([]byte(text)))
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "MiB", "-1", "0", "1.5GiB", "1TB", "9223372036854775807GiB", "1 MiB"} {
		var got byteSize
		assert.Error(t, got.UnmarshalText([]byte(text)), text)
	}
}
