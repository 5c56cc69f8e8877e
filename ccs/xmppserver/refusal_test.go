package xmppserver

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/stanza"
	"github.com/openccs/openccs/store"
)

func TestEveryReasonHasANack(t *testing.T) {
	t.Parallel()
	for r := range ccs.Reasons() {
		n, ok := nacks[r]
		assert.True(t, ok && n.code != "" && n.description != "", "%s", r)
	}
}

// Nacks have the codes and texts of CCS 3.3.
func TestNackOf(t *testing.T) {
	t.Parallel()
	down := fmt.Errorf("disk full: %w", store.ErrUnavailable)
	for _, row := range []struct {
		name string
		err  error
		want stanza.Error
	}{
		{"unknown token", &ccs.Refusal{Reason: ccs.UnknownToken, Detail: "TOKEN"}, stanza.Error{Code: stanza.BadRegistration, Description: "Invalid token on 'to' field: TOKEN"}},
		{"token of another sender", &ccs.Refusal{Reason: ccs.WrongSender, Detail: "a%s"}, stanza.Error{Code: stanza.BadRegistration, Description: "Invalid token on 'to' field: a%s"}},
		{"unregistered", &ccs.Refusal{Reason: ccs.Unregistered}, stanza.Error{Code: stanza.DeviceUnregistered, Description: "The app instance is no longer registered"}},
		{"another package", &ccs.Refusal{Reason: ccs.InvalidPackage, Detail: "x"}, stanza.Error{Code: stanza.InvalidJSON, Description: "InvalidPackageName: the registration is not of x"}},
		{"rate", &ccs.Refusal{Reason: ccs.RateExceeded}, stanza.Error{Code: stanza.DeviceMessageRateExceeded, Description: "Downstream message rate exceeded for this registration id"}},
		{"full queue", &ccs.Refusal{Reason: ccs.QueueFull}, stanza.Error{Code: stanza.DeviceMessageRateExceeded, Description: "Downstream message rate exceeded for this registration id"}},
		{"quota", &ccs.Refusal{Reason: ccs.QuotaExceeded, Detail: "5"}, stanza.Error{Code: stanza.ServiceUnavailable, Description: "The quota of 5 messages a second is used up"}},
		{"malformed", &stanza.Error{Code: stanza.InvalidJSON, Description: "InvalidJson: x"}, stanza.Error{Code: stanza.InvalidJSON, Description: "InvalidJson: x"}},
		{"store unavailable", down, stanza.Error{Code: stanza.ServiceUnavailable, Description: "The message could not be stored now", Err: down}},
		{"fault", errAny, stanza.Error{Code: stanza.InternalServerError, Description: "The message could not be stored", Err: errAny}},
	} {
		t.Run(row.name, func(t *testing.T) {
			code, description, cause := nackOf(row.err, ccs.Spellings{})
			assert.Equal(t, row.want, stanza.Error{Code: code, Description: description, Err: cause})
		})
	}
}

var errAny = errors.New("any")
