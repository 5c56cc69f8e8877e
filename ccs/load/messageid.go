package load

import (
	"strconv"
	"strings"
	"time"
)

// stampKey is the data key under which a payload carries its sequence and its padding.
const stampKey = "load"

// These are the widths of a sequence's fields in hexadecimal digits.
const (
	runDigits    = 8
	streamDigits = 8
	seqDigits    = 12
	dueDigits    = 14
	againDigits  = 1
	sequenceSize = runDigits + streamDigits + seqDigits + dueDigits + againDigits
)

// These bound the bytes of keys and values in a payload: room for a sequence, and the limit of CCS
// (CCS 2.6).
const (
	MinPayload = len(stampKey) + sequenceSize
	MaxPayload = 4096
)

// sequence identifies the message of a payload.
type sequence struct {
	run    uint32
	stream int
	seq    int64         // number in its stream, from 0
	due    time.Duration // since the start of the run
	again  bool          // this is not the first attempt
}

// text writes the sequence to b.
func (s sequence) text(b *[sequenceSize]byte) {
	rest := b[:]
	fill := func(digits int, v uint64) {
		for i := digits - 1; i >= 0; i-- {
			rest[i] = "0123456789abcdef"[v&15]
			v >>= 4
		}
		rest = rest[digits:]
	}
	fill(runDigits, uint64(s.run))
	fill(streamDigits, uint64(s.stream))
	fill(seqDigits, uint64(s.seq))
	fill(dueDigits, uint64(s.due))
	again := uint64(0)
	if s.again {
		again = 1
	}
	fill(againDigits, again)
}

// parseSequence reads the sequence at the start of a payload. It returns false if there is none.
func parseSequence(text string) (s sequence, ok bool) {
	if len(text) < sequenceSize {
		return s, false
	}
	ok = true
	number := func(digits int) (v uint64) {
		for _, c := range []byte(text[:digits]) {
			switch {
			case '0' <= c && c <= '9':
				v = v<<4 | uint64(c-'0')
			case 'a' <= c && c <= 'f':
				v = v<<4 | uint64(c-'a'+10)
			default:
				ok = false
			}
		}
		text = text[digits:]
		return v
	}
	s.run = uint32(number(runDigits))
	s.stream = int(number(streamDigits))
	s.seq = int64(number(seqDigits))
	s.due = time.Duration(number(dueDigits))
	s.again = number(againDigits) != 0
	return s, ok
}

// messageID appends the message_id. It is the same each time the message is sent (CCS 4.3), and
// unique to it.
func (s sequence) messageID(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(s.run), 36)
	b = append(b, '-')
	b = strconv.AppendInt(b, int64(s.stream), 36)
	b = append(b, '-')
	return strconv.AppendInt(b, s.seq, 36)
}

// parseMessageID parses the output of messageID.
func parseMessageID(text string) (s sequence, ok bool) {
	run, rest, _ := strings.Cut(text, "-")
	stream, seq, _ := strings.Cut(rest, "-")
	id, err := strconv.ParseUint(run, 36, 32)
	if err != nil {
		return s, false
	}
	number, err := strconv.ParseInt(stream, 36, 32)
	if err != nil {
		return s, false
	}
	s.run, s.stream = uint32(id), int(number)
	s.seq, err = strconv.ParseInt(seq, 36, 64)
	return s, err == nil
}

// chunkSize is the amount of text for which a composer allocates memory at once.
const chunkSize = 64 << 10

var padding = strings.Repeat("x", MaxPayload)

// composer makes the texts of messages. It cuts them from large chunks, so that no message costs
// an allocation.
type composer struct {
	chunk strings.Builder
	id    [64]byte
	stamp [sequenceSize]byte
}

// messageID returns the message_id of s.
func (c *composer) messageID(s sequence) string {
	from := c.begin(len(c.id))
	c.chunk.Write(s.messageID(c.id[:0]))
	return c.chunk.String()[from:]
}

// value returns the value under stampKey in a payload of size bytes.
func (c *composer) value(s sequence, size int) string {
	from := c.begin(size)
	c.appendValue(s, size)
	return c.chunk.String()[from:]
}

// object returns a payload of size bytes as JSON.
func (c *composer) object(s sequence, size int) string {
	const open, end = `{"` + stampKey + `":"`, `"}`
	from := c.begin(len(open) + size + len(end))
	c.chunk.WriteString(open)
	c.appendValue(s, size)
	c.chunk.WriteString(end)
	return c.chunk.String()[from:]
}

func (c *composer) appendValue(s sequence, size int) {
	s.text(&c.stamp)
	c.chunk.Write(c.stamp[:])
	c.chunk.WriteString(padding[:size-MinPayload])
}

// begin makes room for n bytes and returns their start.
func (c *composer) begin(n int) int {
	if c.chunk.Cap()-c.chunk.Len() < n {
		c.chunk.Reset() // strings of the old chunk keep it alive
		c.chunk.Grow(chunkSize)
	}
	return c.chunk.Len()
}
