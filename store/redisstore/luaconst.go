package redisstore

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openccs/openccs/store"
)

// Scripts and this package share these constants. A script names a constant as ${NAME}, and gets
// its value when it is loaded. Offsets count from one, as in Lua.

// Limits of the data in Redis.
const (
	// dedupSlack is how much longer a dedup string is kept than it is recognised.
	dedupSlack = time.Minute
	// keysLongerBy is the part of their life by which a queue's keys outlive its entries.
	keysLongerBy = 8
	// keysLongerFor is added to that.
	keysLongerFor = 2 * time.Hour
	// keysSlack allows for the clocks of the nodes, and delays the end of an empty queue.
	keysSlack = time.Hour
	// livingRanks is the number of ranks of entries that have not expired.
	livingRanks = int64(store.RankNormal) + 1
	// evictFrom is how many collapse keys, where they have no limit, are kept before unused ones
	// are searched.
	evictFrom     = 64
	mostArguments = 1000 // arguments of one command in a script
)

// Letters of an outcome.
const (
	letterCollapsed = 'c'
	letterDiscarded = 'd'
	letterRefused   = 'r'
	letterDuplicate = 'u'
)

// Layouts of data that Go packs and scripts unpack, or the reverse.
const (
	// Flags, expiry, acceptance, count, three lengths; see appendRecord.
	layoutRecord = "<Bi8i8I4I4I4I4"
	// The field h: last number, most entries, when the keys expire, first expiry.
	layoutQueue    = "<dddd"
	layoutPutPart  = "<ddI4I4I4c0I4c0I4c0I4c0" // see Store.finish
	layoutPutEntry = "<dI4I4c0I4c0"            // see lot.add
	// Limits of an entry besides the bound of its queue.
	layoutPutSpec   = "<BBI4I4dI4c0I4c0"
	layoutMarks     = "<d"                           // see Store.appendMarks; the marks follow
	layoutClaimPart = "<dBI4c0I4c0I4c0I4c0I4c0I4c0B" // see Store.claim
	layoutAckPart   = "<I4I4c0I4c0I4c0"              // see Store.Ack
	layoutText      = "<I4c0"                        // see appendText
	layoutPart      = "<I4I4"                        // length and arguments of a part
)

// Offsets in a record.
const (
	offsetExpires   = 1
	offsetAppLength = 1 + 8 + 8 + 4
)

// marksHeader is the size of the header before the marks.
const marksHeader = 8

var luaConstants = map[string]string{
	"RANK": number(1 << seqBits), // the part of a place for a rank
	// The first place after those of all ranks, for expired entries.
	"ASIDE":      number(livingRanks << seqBits),
	"FIRST_CALL": quoted(callDigits(0)),               // the lowest number of a call
	"LAST_CALL":  quoted(callDigits(callNumbers - 1)), // the highest number of a call

	"RECORD":     quoted(layoutRecord),
	"EXPIRES":    number(offsetExpires + 1),
	"APP_LENGTH": number(offsetAppLength + 1),
	"HEADER":     number(recordHeader),
	"AWAY":       number(flagAway),

	"QUEUE":      quoted(layoutQueue),
	"PUT_PART":   quoted(layoutPutPart),
	"PUT_ENTRY":  quoted(layoutPutEntry),
	"PUT_SPEC":   quoted(layoutPutSpec),
	"MARKS":      quoted(layoutMarks),
	"CLAIM_PART": quoted(layoutClaimPart),
	"ACK_PART":   quoted(layoutAckPart),
	"TEXT":       quoted(layoutText),
	"PART":       quoted(layoutPart),

	"MARKS_HEADER": number(marksHeader),
	"MARK_BYTES":   number(int64(len(store.Mark{}))),

	"COLLAPSED": quoted(string(letterCollapsed)),
	"DISCARDED": quoted(string(letterDiscarded)),
	"REFUSED":   quoted(string(letterRefused)),
	"DUPLICATE": quoted(string(letterDuplicate)),

	"REFUSED_BYTE":   number(letterRefused),
	"DUPLICATE_BYTE": number(letterDuplicate),

	"DEDUP_SLACK":     number(dedupSlack.Milliseconds()),
	"KEYS_LONGER_BY":  strconv.FormatFloat(1+1./keysLongerBy, 'g', -1, 64),
	"KEYS_LONGER_FOR": number(keysLongerFor.Milliseconds()),
	"KEYS_SLACK":      number(keysSlack.Milliseconds()),
	"EVICT_FROM":      number(evictFrom),
	"MOST_ARGUMENTS":  number(mostArguments),
}

func number(n int64) string      { return strconv.FormatInt(n, 10) }
func quoted(s string) string     { return "'" + s + "'" }
func callDigits(n uint64) string { return strconv.FormatUint(callNumbers+n, 10)[1:] }

var luaConstant = regexp.MustCompile(`\$\{(\w+)\}`)

// withConstants replaces the names of constants in the source of a script.
func withConstants(name, source string) string {
	for _, m := range luaConstant.FindAllStringSubmatch(source, -1) {
		if _, ok := luaConstants[m[1]]; !ok {
			// The script is a part of the program.
			panic(fmt.Sprintf("lua/%s.lua: no constant %s", name, m[1]))
		}
	}
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(luaConstants)) {
		pairs = append(pairs, "${"+key+"}", luaConstants[key])
	}
	return strings.NewReplacer(pairs...).Replace(source)
}
