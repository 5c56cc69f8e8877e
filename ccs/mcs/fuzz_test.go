package mcs_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/openccs/openccs/ccs/mcs"
)

// FuzzDataMessage: what decodes encodes back, and what decodes is what the reference implementation
// takes, too.
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

// FuzzLoginRequest: as FuzzDataMessage. The client events, which our codec passes over, are the one
// thing that it takes and the reference implementation may refuse.
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
