package mcs_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/openccs/openccs/ccs/mcs"
)

// FuzzDataMessage checks that decoded messages encode back, and that the reference implementation
// accepts every input that Unmarshal accepts.
func FuzzDataMessage(f *testing.F) {
	s := loadSchema(f)
	for _, row := range full {
		f.Add(row.message.Append(nil))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		var first, second mcs.DataMessage
		err := first.Unmarshal(wire)
		theirs := proto.UnmarshalOptions{AllowPartial: true}.Unmarshal(wire, s.message("DataMessageStanza"))
		if err != nil {
			require.Error(t, theirs)
			return
		}
		require.NoError(t, theirs)
		require.NoError(t, second.Unmarshal(first.Append(nil)))
		assert.Equal(t, first, second)
		assert.Equal(t, first.LastStreamID, mcs.LastStreamID(mcs.TagDataMessageStanza, wire))
		_, err = s.parse("DataMessageStanza", first.Append(nil))
		assert.NoError(t, err)
	})
}

// FuzzLoginRequest checks the same as FuzzDataMessage. The client events are the exception: our
// codec skips them, and the reference implementation may refuse them.
func FuzzLoginRequest(f *testing.F) {
	s := loadSchema(f)
	for _, row := range full {
		f.Add(row.message.Append(nil))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		var first, second mcs.LoginRequest
		if first.Unmarshal(wire) != nil {
			require.Error(t, proto.UnmarshalOptions{AllowPartial: true}.Unmarshal(wire, s.message("LoginRequest")))
			return
		}
		require.NoError(t, second.Unmarshal(first.Append(nil)))
		assert.Equal(t, first, second)
		_, err := s.parse("LoginRequest", first.Append(nil))
		assert.NoError(t, err)
	})
}
