package mcsclient

import (
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/openccs/openccs/ccs/mcs"
)

// Pair is a key and a value of a message's data.
type Pair = mcs.KV

// These are the types of a Message (DEV 9.3). A message of an app server has none.
const (
	TypeDeletedMessages = "deleted_messages" // total_deleted messages were discarded
	TypeSendError       = "send_error"       // an upstream message failed; PersistentID is its id
)

// Message is a message from the server.
type Message struct {
	Type         string // "" from an app server; TypeDeletedMessages, TypeSendError or another
	ID           string
	PersistentID string // "" if no acknowledgement is expected
	From         string // sender id or authorised entity
	Category     string // the app
	Subtype      string // subtype of the app's registration, "" for none
	CollapseKey  string
	Data         []Pair // in the order of the stanza, without subtype and message_type
	RawData      []byte // Web Push body; nil if absent
	TTL          time.Duration
	Sent         time.Time // zero if the server does not say
	ImmediateAck bool
}

// Get returns the value of the first data pair with the key.
func (m *Message) Get(key string) (string, bool) {
	for _, p := range m.Data {
		if p.Key == key {
			return p.Value, true
		}
	}
	return "", false
}

// set fills m from d, and takes over d's memory.
func (m *Message) set(d *mcs.DataMessage) {
	*m = Message{
		ID: d.ID, PersistentID: d.PersistentID, From: d.From, Category: d.Category, CollapseKey: d.Token,
		RawData: d.RawData, TTL: time.Duration(d.TTL) * time.Second, ImmediateAck: d.ImmediateAck,
	}
	if d.Sent != 0 {
		m.Sent = time.UnixMilli(d.Sent)
	}
	m.Data = slices.DeleteFunc(d.AppData, func(p Pair) bool {
		switch p.Key {
		case "subtype":
			m.Subtype = p.Value
		case "message_type":
			m.Type = p.Value
		default:
			return false
		}
		return true
	})
	if m.Type == "gcm" { // the long form of an ordinary message (DEV 9.3)
		m.Type = ""
	}
}

// NowOrNever is the TTL of a message that is sent over the current connection or not at all.
const NowOrNever = -1 * time.Second

// MaxUpstreamTTL is the longest and the default TTL of an upstream message (DEV 10).
const MaxUpstreamTTL = 24 * time.Hour

// Upstream is a message to an app server (DEV 10).
type Upstream struct {
	ID             string // message id, unique among the app's messages
	To             string // sender id, with or without @gcm.googleapis.com
	Category       string // the app
	From           string // default "gcm@chrome.com"
	RegistrationID string // "": the server finds it by device, Category and To
	CollapseKey    string
	Data           []Pair
	TTL            time.Duration // default and at most MaxUpstreamTTL; NowOrNever

	// PersistentID is the ID by which the server recognises a message that is sent again. Send
	// sets it if it is empty, unless the message is NowOrNever.
	PersistentID string
	// Sent is the time at which the message was made. Send sets it if it is zero.
	Sent time.Time
}

// lastPersistentID makes the ids of one process differ.
var lastPersistentID atomic.Int64

// prepare sets the fields that Send promises to set. An Android client puts its message id where
// Chromium puts a number that it chose (DEV 10).
func (m *Upstream) prepare(android bool) {
	if m.Sent.IsZero() {
		m.Sent = time.Now()
	}
	switch {
	case m.PersistentID != "" || m.TTL == NowOrNever:
	case android:
		m.PersistentID = m.ID
	default:
		for {
			last := lastPersistentID.Load()
			next := max(last+1, time.Now().UnixMicro())
			if lastPersistentID.CompareAndSwap(last, next) {
				m.PersistentID = strconv.FormatInt(next, 10)
				return
			}
		}
	}
}

func (m *Upstream) ttl() time.Duration {
	switch {
	case m.TTL < 0:
		return 0
	case m.TTL == 0:
		return MaxUpstreamTTL
	default:
		return min(m.TTL, MaxUpstreamTTL)
	}
}

func (m *Upstream) expired(now time.Time) bool { return now.Sub(m.Sent) > m.ttl() }

// secondsTo1970 is the difference between the two epochs that upstream messages count from (DEV
// 10).
const secondsTo1970 = 11644473600

func (m *Upstream) append(b []byte, android bool, last int32, now time.Time) []byte {
	from := m.From
	if from == "" {
		from = "gcm@chrome.com"
	}
	sent := m.Sent.Unix()
	if !android {
		sent += secondsTo1970
	}
	return mcs.AppendDataMessage(b, &mcs.DataMessage{
		ID: m.ID, From: from, To: m.To, Category: m.Category, Token: m.CollapseKey, RegID: m.RegistrationID,
		AppData: m.Data, PersistentID: m.PersistentID, LastStreamID: last,
		TTL: int32(m.ttl() / time.Second), HasTTL: true,
		Sent: sent, Queued: int32(max(now.Sub(m.Sent), 0) / time.Second),
	})
}

func isAndroid(clientID string) bool { return strings.HasPrefix(clientID, "android-") }
