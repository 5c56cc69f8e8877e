package redisstore

import (
	"encoding/binary"
	"time"

	"github.com/openccs/openccs/store"
)

// A registration in Redis is the version of this layout (1 byte), the texts app, subtype, scope,
// instance ID and canonical token (each a length and the bytes), the times created, superseded and
// unregistered in microseconds since 1970 (varints, 0 for none), and the senders to the end. Token
// and device are in its keys.
const registrationLayout = 1

func encodeRegistration(r *store.Registration) []byte {
	b := make([]byte, 1, 64+len(r.App)+len(r.Canonical)+len(r.InstanceID))
	b[0] = registrationLayout
	text := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	for _, s := range []string{r.App, r.Subtype, r.Scope, r.InstanceID, r.Canonical} {
		text(s)
	}
	for _, t := range []time.Time{r.Created, r.Superseded, r.Unregistered} {
		var micros int64
		if !t.IsZero() {
			micros = t.UnixMicro()
		}
		b = binary.AppendVarint(b, micros)
	}
	for _, s := range r.Senders {
		text(s)
	}
	return b
}

// decodeRegistration decodes a record. Its texts share the memory of raw.
func decodeRegistration(raw, token string, device uint64) (*store.Registration, error) {
	if raw == "" || raw[0] != registrationLayout {
		return nil, errDamaged
	}
	d := registrationDecoder{raw: raw, rest: []byte(raw[1:])}
	r := &store.Registration{
		Token: token, Device: device,
		App: d.text(), Subtype: d.text(), Scope: d.text(), InstanceID: d.text(), Canonical: d.text(),
		Created: d.time(), Superseded: d.time(), Unregistered: d.time(),
	}
	for len(d.rest) > 0 && !d.damaged {
		r.Senders = append(r.Senders, d.text())
	}
	if d.damaged {
		return nil, errDamaged
	}
	return r, nil
}

// registrationDecoder reads a record from its front.
type registrationDecoder struct {
	raw     string
	rest    []byte // the unread end of raw
	damaged bool
}

func (d *registrationDecoder) text() string {
	length, n := binary.Uvarint(d.rest)
	if n <= 0 || uint64(len(d.rest)-n) < length {
		d.damaged = true
		return ""
	}
	d.rest = d.rest[n+int(length):]
	end := len(d.raw) - len(d.rest)
	return d.raw[end-int(length) : end]
}

func (d *registrationDecoder) time() time.Time {
	micros, n := binary.Varint(d.rest)
	if n <= 0 {
		d.damaged = true
		return time.Time{}
	}
	d.rest = d.rest[n:]
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros)
}
