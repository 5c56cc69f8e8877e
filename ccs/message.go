package ccs

import (
	"encoding/binary"
	"errors"
	"time"
	"unsafe"

	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/store"
)

// MessageKind is the kind of a message in a queue.
type MessageKind uint8

// The kinds of message. The numbers are written to disk.
const (
	DataMessage MessageKind = 1 // downstream in a device's queue, upstream in a sender's
	// A SendError tells a device that its upstream message failed (DEV 9.3).
	SendError   MessageKind = 2
	ReceiptNote MessageKind = 3 // in a sender's receipts queue: a device has a message (CCS 3.5)
)

// Message is a message at rest in either direction: the Body of a store.Entry. Its strings share
// memory with the bytes that it was decoded from.
type Message struct {
	Kind MessageKind
	High bool // priority
	// Reason is for a SendError. It is zero for one that an older version stored, whose Data gives
	// the reason.
	Reason     Reason
	WhenActive bool          // down: wait while the device says that it is idle (CCS 5.4)
	TTL        time.Duration // as accepted, in whole seconds
	// From is, downstream, the sender ID or authorised entity of the registration, and upstream the
	// registration token.
	From        string
	To          string // up: the address that the device used
	App         string // the category
	Subtype     string // down: the registration's
	ID          string // message_id; for a SendError, that of the failed message
	CollapseKey string // down
	// ReceiptFor is, downstream, the registration token as addressed if a receipt was requested, or
	// "".
	ReceiptFor string
	Origin     store.Lease // down, if a receipt was requested: the session that should get it
	Data       payload.Data
}

// messageVersion is the first byte of a message at rest. Later forms get another number.
const messageVersion = 1

const (
	flagHigh       = 1
	flagWhenActive = 2
	flagReason     = 4 // a byte with the reason follows
)

var errMessage = errors.New("not a message")

// Append appends the stored form of the message.
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

// Decode decodes the result of Append. The message shares b's memory.
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
	var texts [7]string // by value, so that decoding a message allocates nothing
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
