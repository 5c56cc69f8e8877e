package diskstore

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"github.com/openccs/openccs/store"
)

// The first byte of a key is its kind. Entries and remembered strings are side by side, so that
// one sweep walks over both.
const (
	prefixApp        = 'a' // app's ID -> app
	prefixAppOf      = 'A' // sender ID, app's ID -> nothing
	prefixClient     = 'c' // OAuth client ID -> OAuth client
	prefixClientOf   = 'C' // sender ID, OAuth client ID -> nothing
	prefixDevice     = 'D' // device, token -> nothing
	prefixFanout     = 'g' // number -> fan-out
	prefixGroup      = 'h' // sender ID, sum of the name -> device group
	prefixMember     = 'H' // place, sender ID, sum of the name -> nothing
	prefixProgress   = 'G' // number -> how far the fan-out is
	prefixRefresh    = 'f' // hash -> refresh token
	prefixRefreshOf  = 'F' // OAuth client ID, hash -> nothing
	prefixChannel    = 'e' // user, app's ID, device -> since when
	prefixChannelOf  = 'E' // device, user, app's ID -> since when
	prefixMeta       = 'm' // name -> value
	prefixNewcomer   = 'n' // device -> since when it registers, while it has never had a session
	prefixNewcomers  = 'N' // that time, device -> nothing
	prefixPresent    = 'P' // run, queue -> nothing
	prefixProject    = 'p' // sender ID -> project
	prefixEntry      = 'q' // queue, ID -> entry
	prefixDedup      = 'r' // queue, hash -> when it is forgotten
	prefixRepeats    = 'R' // run, generation, number -> when, marks
	prefixSlot       = 'S' // slot -> its newest token
	prefixToken      = 't' // token -> registration
	prefixSubscriber = 'T' // sender ID, topic, place -> since when, token
	prefixSubscribed = 'U' // place, sender ID, topic -> the same
	prefixUser       = 'u' // user -> nothing
	prefixSecret     = 'x' // name -> secret
	prefixDaily      = 'y' // sender ID -> day, count
	sweepEnd         = prefixDedup + 1
	queueKeyLen      = 1 + 1 + 8
	entryKeyLen      = queueKeyLen + 8
	dedupKeyLen      = queueKeyLen + len(store.DedupSum{})
	repeatsKeyLen    = 1 + 3*8
	presentRunLen    = 8
	presentKeyLen    = 1 + presentRunLen + 1 + 8
	deviceTokenOff   = 1 + 8
)

var (
	metaFormat = []byte{prefixMeta, 'f'} // version of this layout
	metaSeq    = []byte{prefixMeta, 's'} // no sequence number above this one was given out
	metaRun    = []byte{prefixMeta, 'r'} // number of times the store was opened
)

// comparer compares bytes and knows which entries belong to one queue, so that the tables' filters
// can find a queue. Its name is on disk.
var comparer = func() *pebble.Comparer {
	c := *pebble.DefaultComparer
	c.Name = "openccs.queue.1"
	c.Split = func(key []byte) int {
		if len(key) > queueKeyLen && key[0] == prefixEntry {
			return queueKeyLen
		}
		return len(key)
	}
	return &c
}()

type entryKey [entryKeyLen]byte

type dedupKey [dedupKeyLen]byte

func putQueueKey(dst []byte, prefix byte, k store.Key) {
	dst[0], dst[1] = prefix, byte(k.Kind)
	binary.BigEndian.PutUint64(dst[2:], k.ID)
}

// keyOf returns the key of an entry. The keys of a queue are in the order of its IDs.
func keyOf(k store.Key, id store.ID) (key entryKey) {
	putQueueKey(key[:], prefixEntry, k)
	binary.BigEndian.PutUint64(key[queueKeyLen:], uint64(id))
	return key
}

func parseEntryKey(key []byte) (store.Key, store.ID) {
	return parseQueueKey(key), store.ID(binary.BigEndian.Uint64(key[queueKeyLen:]))
}

func parseQueueKey(key []byte) store.Key {
	return store.Key{Kind: store.Kind(key[1]), ID: binary.BigEndian.Uint64(key[2:])}
}

func dedupKeyOf(k store.Key, sum store.DedupSum) (key dedupKey) {
	putQueueKey(key[:], prefixDedup, k)
	copy(key[queueKeyLen:], sum[:])
	return key
}

func presentKey(run uint64, k store.Key) []byte {
	key := make([]byte, presentKeyLen)
	key[0] = prefixPresent
	binary.BigEndian.PutUint64(key[1:], run)
	key[1+presentRunLen] = byte(k.Kind)
	binary.BigEndian.PutUint64(key[2+presentRunLen:], k.ID)
	return key
}

func parsePresentKey(key []byte) store.Key {
	return store.Key{
		Kind: store.Kind(key[1+presentRunLen]), ID: binary.BigEndian.Uint64(key[2+presentRunLen:]),
	}
}

func textKey(prefix byte, text string) []byte {
	return append([]byte{prefix}, text...)
}

// pairKey returns a key that lists second under first. first must not contain a NUL.
func pairKey(prefix byte, first string, second []byte) []byte {
	return append(append(textKey(prefix, first), 0), second...)
}

func deviceKey(device uint64, token string) []byte {
	key := binary.BigEndian.AppendUint64([]byte{prefixDevice}, device)
	return append(key, token...)
}
