package mcsserver

import (
	"strconv"
	"strings"
	"time"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/domains"
	"github.com/openccs/openccs/ccs/internal/senderror"
	"github.com/openccs/openccs/ccs/mcs"
	"github.com/openccs/openccs/store"
)

// Keys of app_data by which the client routes a message (DEV 9.2, 9.3).
const (
	keyMessageType = "message_type"
	keySubtype     = "subtype"
)

// deletedFrom is the from of a deleted_messages marker. Clients ignore it (DEV 15).
const deletedFrom = domains.GCM

// appendEntry appends the frame of a queue's entry (DEV 9). It returns nil for an entry that need
// not be sent: the device listed it at login, or it expired while it was deferred.
func (s *session) appendEntry(b []byte, del *ccs.Delivery, o *offered, processed int32, now time.Time) []byte {
	e, m := &del.Entry, &del.Message
	d := mcs.DataMessage{LastStreamID: processed, Sent: e.Accepted.UnixMilli(), Queued: int32(max(now.Sub(e.Accepted), 0) / time.Second)}
	if e.ID != 0 {
		d.PersistentID = mcs.PersistentID(o.micros, uint64(o.id))
	}
	if e.Deleted > 0 {
		return s.appendDeleted(b, e, &d)
	}
	d.From, d.Category, d.Token, d.TTL = m.From, m.App, m.CollapseKey, int32(m.TTL/time.Second)
	d.HasTTL = true
	if m.Kind == ccs.SendError {
		// Current clients read the failed message's ID here. Older ones and Android read it from
		// the pair (DEV 9.3).
		d.PersistentID, o.extra = m.ID, &extra{name: m.ID}
	}
	if del.Expired(now) {
		o.extra = expired
		return nil
	}
	if o.owe(del) {
		d.ImmediateAck = true
	}
	if s.has(d.PersistentID) {
		return nil
	}
	b, mark := mcs.BeginDataMessage(b, &d)
	switch {
	case m.Kind == ccs.SendError:
		m.Data = senderror.Append(nil, m)
		b = mcs.AppendAppData(b, keyMessageType, "send_error")
		b = mcs.AppendAppData(b, "google.message_id", m.ID)
	case m.Subtype != "":
		b = mcs.AppendAppData(b, keySubtype, m.Subtype)
	case len(m.Data) == 0:
		// Some clients fail on a message without any pair (DEV 14 no. 18). This pair means nothing,
		// and clients remove it from what the app sees.
		b = mcs.AppendAppData(b, keyMessageType, "gcm")
	}
	for k, v := range m.Data.All() {
		if k != keySubtype && k != keyMessageType { // only the server sets these (DEV 9.2)
			b = mcs.AppendAppData(b, k, v)
		}
	}
	return mcs.EndFrame(b, mark)
}

func (s *session) appendDeleted(b []byte, e *store.Entry, d *mcs.DataMessage) []byte {
	if s.has(d.PersistentID) {
		return nil
	}
	app, subtype, _ := strings.Cut(e.App, "\x00")
	d.From, d.Category = deletedFrom, app
	b, mark := mcs.BeginDataMessage(b, d)
	b = mcs.AppendAppData(b, keyMessageType, "deleted_messages")
	b = mcs.AppendAppData(b, "total_deleted", strconv.Itoa(e.Deleted))
	if subtype != "" {
		b = mcs.AppendAppData(b, keySubtype, subtype)
	}
	return mcs.EndFrame(b, mark)
}
