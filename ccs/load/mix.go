package load

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/openccs/openccs/stanza"
)

// maxCycle bounds the sum of the weights of a mix.
const maxCycle = 1000

// mix is a cycle of values: a message's number in its stream selects its value. As text it is
// "256", or "64*7,1024*2,4000" for seven, two and one message of ten.
type mix[T any] struct {
	words string
	cycle []T
}

// At returns the value of a message by its number.
func (m mix[T]) At(seq int64) T { return m.cycle[seq%int64(len(m.cycle))] }

// All returns the values, each as often as its weight says.
func (m mix[T]) All() []T { return m.cycle }

func (m mix[T]) String() string { return m.words }

// MarshalText returns the text that the mix was read from.
func (m mix[T]) MarshalText() ([]byte, error) { return []byte(m.words), nil }

func (m *mix[T]) parse(text string, value func(string) (T, error)) error {
	m.words, m.cycle = text, nil
	type part struct {
		value  T
		weight int
	}
	var parts []part
	total := 0
	for word := range strings.SplitSeq(text, ",") {
		first, weight, weighted := strings.Cut(strings.TrimSpace(word), "*")
		p := part{weight: 1}
		var err error
		if p.value, err = value(first); err != nil {
			return err
		}
		if weighted {
			if p.weight, err = strconv.Atoi(weight); err != nil || p.weight < 1 {
				return fmt.Errorf("%q: the weight is no number above 0", word)
			}
		}
		parts = append(parts, p)
		total += p.weight
	}
	if total > maxCycle {
		return fmt.Errorf("%q: the weights make %d, at most %d are allowed", text, total, maxCycle)
	}
	// Each value is spread as evenly as its weight allows: the value furthest below its share is
	// next.
	used := make([]int, len(parts))
	for n := 1; n <= total; n++ {
		next := 0
		for i := range parts {
			if parts[i].weight*n-used[i]*total > parts[next].weight*n-used[next]*total {
				next = i
			}
		}
		used[next]++
		m.cycle = append(m.cycle, parts[next].value)
	}
	return nil
}

// Sizes are payload sizes in bytes of keys and values (CCS 2.6).
type Sizes struct{ mix[int] }

// UnmarshalText reads "256" or "64*7,1024*2,4000".
func (s *Sizes) UnmarshalText(text []byte) error {
	return s.parse(string(text), func(word string) (int, error) {
		size, err := strconv.Atoi(word)
		if err != nil || size < MinPayload || size > MaxPayload {
			return 0, fmt.Errorf("%q: give bytes, %d to %d", word, MinPayload, MaxPayload)
		}
		return size, nil
	})
}

// TTLs are times to live (CCS 2.3).
type TTLs struct{ mix[time.Duration] }

// UnmarshalText reads "1h", or "0*1,600*9" in seconds.
func (t *TTLs) UnmarshalText(text []byte) error {
	return t.parse(string(text), func(word string) (time.Duration, error) {
		ttl, err := time.ParseDuration(word)
		if seconds, notNumber := strconv.Atoi(word); notNumber == nil {
			ttl, err = time.Duration(seconds)*time.Second, nil
		}
		if err != nil || ttl < 0 || ttl > stanza.MaxTTL || ttl%time.Second != 0 {
			return 0, fmt.Errorf("%q: give whole seconds, 0 to %s", word, stanza.MaxTTL)
		}
		return ttl, nil
	})
}

// Priorities are the priorities of messages.
type Priorities struct{ mix[stanza.Priority] }

// UnmarshalText reads "normal", or "normal*9,high".
func (p *Priorities) UnmarshalText(text []byte) error {
	return p.parse(string(text), func(word string) (stanza.Priority, error) {
		switch word {
		case "normal":
			return stanza.PriorityNormal, nil
		case "high":
			return stanza.PriorityHigh, nil
		case "none":
			return stanza.PriorityDefault, nil
		}
		return 0, fmt.Errorf("%q: give normal, high or none", word)
	})
}
