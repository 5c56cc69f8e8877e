package ccs

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/openccs/openccs/store"
)

// Receipt tells a sender that a device has received one of its messages.
type Receipt struct {
	Sender   string // From of the message
	Token    string // the registration token as addressed
	App      string
	ID       string      // message_id of the message
	Accepted time.Time   // time at which the message was accepted
	Entry    store.ID    // ID of the message's entry; with Accepted it makes the receipt unique
	Origin   store.Lease // the session that should get the receipt
}

// receiptTTL is how long a receipt may wait for its acknowledgement (CCS 3.5).
const receiptTTL = 24 * time.Hour

// SendReceipts puts receipts into their senders' receipt queues (CCS 3.5). It must be called before
// the messages are forgotten: then a crash between the two makes no second receipt.
func (r *Router) SendReceipts(ctx context.Context, batch []Receipt) error {
	now := r.clock.Now()
	entries := make([]store.Entry, 0, len(batch))
	origins := make([]store.Lease, 0, len(batch))
	for i := range batch {
		owed := &batch[i]
		sender, err := ParseSenderID(owed.Sender)
		if err != nil {
			continue // an authorised entity that is no project has no app server
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
			Accepted: owed.Accepted, // for message_sent_timestamp
			Expires:  now.Add(receiptTTL),
			Limit:    store.Limit{Messages: r.profile.SenderBacklog, Overflow: store.Refuse},
			Body:     msg.Append(nil),
		})
	}
	if len(entries) == 0 {
		return nil
	}
	if err := r.putNotes(ctx, "receipts", entries, now); err != nil {
		return err
	}
	for i := range entries {
		r.wakeFirst(entries[i].Key, origins[i])
	}
	return nil
}
