// Package downstream translates the messages of app servers from package stanza to the core. The
// doors share it, so that a field means the same in each of them. Its functions may be called from
// any goroutine.
package downstream

import (
	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/stanza"
)

// Of returns the message without its Data and Notification. Its strings share the memory of m.
func Of(m *stanza.Downstream) ccs.Downstream {
	return ccs.Downstream{
		To: m.To, Condition: m.Condition, ID: m.MessageID, CollapseKey: m.CollapseKey, Priority: m.Priority,
		TTL: m.Lifetime(), DelayWhileIdle: m.DelayWhileIdle, ReceiptRequested: m.ReceiptRequested, DryRun: m.DryRun,
		ContentAvailable: m.ContentAvailable, MutableContent: m.MutableContent, RestrictedPackage: m.RestrictedPackage,
	}
}
