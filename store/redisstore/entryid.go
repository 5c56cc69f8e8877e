package redisstore

import (
	"fmt"
	"strconv"
	"time"

	"github.com/openccs/openccs/store"
)

// A place is an entry's ID as the scripts see it: the rank above 50 bits of sequence number, in
// decimal. Lua counts in doubles, which are exact up to 53 bits. Below 52 bits Redis writes and
// reads them as whole numbers, which is cheaper.
const (
	seqBits = 50
	maxSeq  = 1<<seqBits - 1

	placeDigits = 16
)

// epoch is the zero of the clock that sequence numbers follow. Because they follow a clock, a queue
// that was lost and begins again uses none twice. In microseconds, they last until the year 2055.
var epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// clock returns the wall clock in microseconds, for sequence numbers and for the life of keys.
func clock() int64 { return max(time.Since(epoch).Microseconds(), 1) }

// placeOf returns the place of an ID, or "" if this store cannot have made it.
func placeOf(id store.ID) string {
	if id.Seq() > maxSeq {
		return ""
	}
	return strconv.FormatUint(uint64(id.Rank())<<seqBits|id.Seq(), 10)
}

func parsePlace(s string) (store.ID, error) {
	n, err := strconv.ParseUint(s, 10, seqBits+2)
	if err != nil {
		return 0, fmt.Errorf("place: %w", err)
	}
	return store.MakeID(store.Rank(n>>seqBits), n&maxSeq), nil
}
