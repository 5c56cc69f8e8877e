package gcmhttp

import (
	"encoding/hex"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"
)

// messageIDs makes message_ids in GCM's form: 0:, the time in microseconds, % and 16 hex digits
// (CCS 6.5). Of the digits, 8 are random for each process and 8 count.
type messageIDs struct {
	process uint32
	count   *atomic.Uint32
}

func newMessageIDs() messageIDs { return messageIDs{rand.Uint32(), new(atomic.Uint32)} }

// messageIDLen is the length of a message_id. The time has 16 digits until the year 2286.
const messageIDLen = 2 + 16 + 1 + 16

// append appends n new message_ids.
func (ids *messageIDs) append(b []byte, n int) []byte {
	now := time.Now().UnixMicro()
	last := ids.count.Add(uint32(n))
	for i := range n {
		b = append(b, "0:"...)
		b = strconv.AppendInt(b, now, 10)
		b = append(b, '%')
		b = appendHex(b, ids.process)
		b = appendHex(b, last-uint32(n-1-i))
	}
	return b
}

func appendHex(b []byte, n uint32) []byte {
	return hex.AppendEncode(b, []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

func appendNumber(b []byte, n uint64) []byte { return strconv.AppendUint(b, n, 10) }
