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

// What scripts and this package must agree on is written here, once: a script names a constant as ${NAME}, and gets its
// value when it is loaded. Offsets count from one, as Lua does.

// Bounds of what Redis keeps.
const (
	dedupSlack    = time.Minute                 // how much longer a dedup string is kept than it is known
	keysLongerBy  = 8                           // a queue's keys last longer than its entries, by one part of so many
	keysLongerFor = 2 * time.Hour               // and by this
	keysSlack     = time.Hour                   // of the clocks of the nodes, and before an empty queue is forgotten
	livingRanks   = int64(store.RankNormal) + 1 // ranks of entries that have not been set aside
	evictFrom     = 64                          // collapse keys without a limit before those that are gone are looked for
	mostArguments = 1000                        // of one command in a script
)

// The letters of an outcome.
const (
	letterCollapsed = 'c'
	letterDiscarded = 'd'
	letterRefused   = 'r'
	letterDuplicate = 'u'
)

// The layouts of what Go packs and scripts unpack, and the other way round.
const (
	layoutRecord    = "<Bi8i8I4I4I4I4"               // see appendRecord: flags, expiry, acceptance, count, three lengths
	layoutQueue     = "<dddd"                        // field h: last number, most entries, when the keys end, first expiry
	layoutPutPart   = "<ddI4I4I4c0I4c0I4c0I4c0"      // see Store.finish
	layoutPutEntry  = "<dI4I4c0I4c0"                 // see lot.add
	layoutPutSpec   = "<BBI4I4dI4c0I4c0"             // what an entry asks for beyond a bound of its queue
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

// marksHeader is what stands before the marks.
const marksHeader = 8

var luaConstants = map[string]string{
	"RANK":       number(1 << seqBits),                // what a rank adds to a place
	"ASIDE":      number(livingRanks << seqBits),      // the first place after those of all ranks: expired entries
	"FIRST_CALL": quoted(callDigits(0)),               // the number of a call, at least
	"LAST_CALL":  quoted(callDigits(callNumbers - 1)), // and at most

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

// withConstants puts the constants into the source of a script.
func withConstants(name, source string) string {
	for _, m := range luaConstant.FindAllStringSubmatch(source, -1) {
		if _, ok := luaConstants[m[1]]; !ok {
			panic(fmt.Sprintf("lua/%s.lua: no constant %s", name, m[1])) // it is part of the program
		}
	}
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(luaConstants)) {
		pairs = append(pairs, "${"+key+"}", luaConstants[key])
	}
	return strings.NewReplacer(pairs...).Replace(source)
}
