package ccs

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/openccs/openccs/store"
)

// Receipt is owed to a sender: a device has one of its messages.
type Receipt struct {
	Sender   string // as in the message's From
	Token    string // the registration token as addressed
	App      string
	ID       string      // the message's
	Accepted time.Time   // the message's
	Entry    store.ID    // the message's; with Accepted what makes the receipt the only one
	Origin   store.Lease // the session to prefer
}

// receiptTTL is how long a receipt waits to be acknowledged (CCS 3.5).
const receiptTTL = 24 * time.Hour

// SendReceipts puts receipts into their senders' own queues (CCS 3.5). To be called before the messages are
// forgotten: a crash between makes no second receipt.
func (r *Router) SendReceipts(ctx context.Context, batch []Receipt) error {
	now := r.clock.Now()
	entries := make([]store.Entry, 0, len(batch))
	origins := make([]store.Lease, 0, len(batch))
	for i := range batch {
		owed := &batch[i]
		sender, err := ParseSenderID(owed.Sender)
		if err != nil {
			continue // an authorised entity that is no project has no app server to tell
		}
		msg := Message{Kind: ReceiptNote, From: owed.Token, App: owed.App, ID: owed.ID, Origin: owed.Origin}
		unique := binary.BigEndian.AppendUint64(nil, uint64(owed.Entry))
		unique = binary.BigEndian.AppendUint64(unique, uint64(owed.Accepted.UnixMicro()))
		origins = append(origins, owed.Origin)
		entries = append(entries, store.Entry{
			Key:      sender.ReceiptsKey(),
			Rank:     store.RankNormal,
			App:      owed.App,
			Dedup:    string(unique) + owed.Token,
			DedupFor: receiptTTL,
			Accepted: owed.Accepted, // what message_sent_timestamp says
			Expires:  now.Add(receiptTTL),
			Limit:    store.Limit{Messages: r.profile.SenderBacklog, Overflow: store.Refuse},
			Body:     msg.Append(nil),
		})
	}
	if len(entries) == 0 {
		return nil
	}
	if _, err := r.put(ctx, entries, nil, now); err != nil {
		return fmt.Errorf("store receipts: %w", err)
	}
	for i := range entries {
		r.wakeFirst(entries[i].Key, origins[i])
	}
	return nil
}
