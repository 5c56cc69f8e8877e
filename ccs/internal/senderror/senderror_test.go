package senderror_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/internal/senderror"
	"github.com/openccs/openccs/stanza"
)

func TestAppend(t *testing.T) {
	t.Parallel()
	pair := func(code, description string) stanza.Data {
		return stanza.Data{}.Append("error", code).Append("error_description", description)
	}
	old := pair("MessageTooBig", "MessageTooBig")
	for _, row := range []struct {
		name string
		m    ccs.Message
		want stanza.Data
	}{
		{"unknown sender", ccs.Message{Reason: ccs.UnknownSender}, pair("InvalidParameters", "InvalidParameters: no such sender ID")},
		{"not registered", ccs.Message{Reason: ccs.NotRegistered}, pair("NotRegistered", "NotRegistered: the app is not registered for this sender ID")},
		{"too big", ccs.Message{Reason: ccs.TooBig}, pair("MessageTooBig", "MessageTooBig")},
		{"bad TTL", ccs.Message{Reason: ccs.BadTTL}, pair("InvalidTtl", "InvalidTtl: below zero")},
		{"rate", ccs.Message{Reason: ccs.RateExceeded}, pair("QuotaExceeded", "QuotaExceeded: the device sends too fast")},
		{"full queue", ccs.Message{Reason: ccs.QueueFull}, pair("too many messages wait for the sender", "too many messages wait for the sender")},
		{"nobody there", ccs.Message{Reason: ccs.NobodyConnected}, pair("TtlExceeded", "TtlExceeded: no app server is connected")},
		{"expired", ccs.Message{Reason: ccs.Expired}, pair("TtlExceeded", "TtlExceeded: no app server has taken the message in time")},
		{"stored by an older version", ccs.Message{Data: old}, old},
		{"a reason of a newer version", ccs.Message{Reason: 200}, pair("ServerError", "ServerError")},
	} {
		t.Run(row.name, func(t *testing.T) {
			assert.Equal(t, row.want, senderror.Append(nil, &row.m))
		})
	}
}
