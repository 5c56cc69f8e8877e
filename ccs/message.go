package ccs

import (
	"encoding/binary"
	"errors"
	"time"
	"unsafe"

	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/store"
)

// MessageKind says what a message in a queue is.
type MessageKind uint8

// The kinds of message. The numbers are written to disk.
const (
	DataMessage MessageKind = 1 // downstream in a device's queue, upstream in a sender's
	SendError   MessageKind = 2 // tells a device that its upstream message came to nothing (DEV 9.3)
	ReceiptNote MessageKind = 3 // in a sender's receipts queue: a device has a message (CCS 3.5)
)

// Message is a message at rest, whichever way it travels: the Body of a store.Entry. Its strings share
// memory with the bytes it was read from.
type Message struct {
	Kind        MessageKind
	High        bool          // priority
	Reason      Reason        // of a SendError; zero for one that an older version stored: its Data says why
	WhenActive  bool          // down: is to wait while the device says that it is idle (CCS 5.4)
	TTL         time.Duration // as accepted, whole seconds
	From        string        // down: the sender ID or authorised entity of the registration; up: the registration token
	To          string        // up: the address that the device used
	App         string        // the category
	Subtype     string        // down: of the registration
	ID          string        // message_id; of a SendError, the failed message's
	CollapseKey string        // down
	ReceiptFor  string        // down: the registration token as addressed, if a receipt was asked for; "" if not
	Origin      store.Lease   // down, if a receipt was asked for: the session that should have it
	Data        payload.Data
}

// messageVersion is the first byte of a message at rest, so that a later form can be told apart.
const messageVersion = 1

const (
	flagHigh       = 1
	flagWhenActive = 2
	flagReason     = 4 // a byte with the reason follows
)

var errMessage = errors.New("not a message")

// Append appends the message as it is stored.
func (m *Message) Append(b []byte) []byte {
	flags := byte(0)
	if m.High {
		flags |= flagHigh
	}
	if m.WhenActive {
		flags |= flagWhenActive
	}
	if m.Reason != 0 {
		flags |= flagReason
	}
	b = append(b, messageVersion, byte(m.Kind), flags)
	if m.Reason != 0 {
		b = append(b, byte(m.Reason))
	}
	b = binary.AppendUvarint(b, uint64(m.TTL/time.Second))
	b = binary.AppendUvarint(b, uint64(m.Origin))
	for _, s := range [...]string{m.From, m.To, m.App, m.Subtype, m.ID, m.CollapseKey, m.ReceiptFor} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return append(b, m.Data...)
}

// Decode reads what Append wrote. The message shares b's memory.
func (m *Message) Decode(b []byte) error {
	if len(b) < 4 || b[0] != messageVersion {
		return errMessage
	}
	*m = Message{Kind: MessageKind(b[1]), High: b[2]&flagHigh != 0, WhenActive: b[2]&flagWhenActive != 0}
	reasoned := b[2]&flagReason != 0
	b = b[3:]
	if reasoned {
		if m.Reason = Reason(b[0]); m.Reason == 0 {
			return errMessage
		}
		b = b[1:]
	}
	ttl, n := binary.Uvarint(b)
	if n <= 0 || ttl > uint64(payload.MaxTTL/time.Second) {
		return errMessage
	}
	m.TTL = time.Duration(ttl) * time.Second
	b = b[n:]
	origin, n := binary.Uvarint(b)
	if n <= 0 {
		return errMessage
	}
	m.Origin = store.Lease(origin)
	b = b[n:]
	var texts [7]string // by value: a message that is read must not need memory of its own
	for i := range texts {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return errMessage
		}
		texts[i] = unsafe.String(unsafe.SliceData(b[n:]), int(size))
		b = b[n+int(size):]
	}
	m.From, m.To, m.App, m.Subtype, m.ID, m.CollapseKey, m.ReceiptFor = texts[0], texts[1], texts[2], texts[3], texts[4], texts[5], texts[6]
	m.Data = payload.Data(b)
	if !m.Data.Valid() {
		return errMessage
	}
	return nil
}
