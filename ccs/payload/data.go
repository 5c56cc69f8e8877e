package payload

import (
	"encoding/binary"
	"iter"
	"unsafe"
)

// Data holds the key-value pairs of a message in the core's format. Keys and values alternate,
// each as its length (a uvarint) and its bytes. The zero value has no pairs.
type Data []byte

// Append adds a pair.
func (d Data) Append(key, value string) Data {
	d = binary.AppendUvarint(d, uint64(len(key)))
	d = append(d, key...)
	d = binary.AppendUvarint(d, uint64(len(value)))
	return append(d, value...)
}

// All yields the pairs in order. The strings share d's memory. It stops at the first malformed
// byte; Valid reports whether there is one.
func (d Data) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) { d.each(yield) } // inlined: no allocation
}

func (d Data) each(yield func(string, string) bool) {
	for rest := d; len(rest) > 0; {
		var k, v string
		var ok bool
		if k, rest, ok = cutField(rest); !ok {
			return
		}
		if v, rest, ok = cutField(rest); !ok {
			return
		}
		if !yield(k, v) {
			return
		}
	}
}

// Valid reports whether d consists of whole pairs and nothing else.
func (d Data) Valid() bool {
	fields, ok := 0, true
	for rest := d; len(rest) > 0; fields++ {
		if _, rest, ok = cutField(rest); !ok {
			return false
		}
	}
	return fields%2 == 0
}

// Size returns the number of bytes that count towards the payload limit: those of all keys and
// values (CCS 2.6).
func (d Data) Size() int {
	n := 0
	for k, v := range d.All() {
		n += len(k) + len(v)
	}
	return n
}

// Get returns the value of the first pair with the key.
func (d Data) Get(key string) (string, bool) {
	for k, v := range d.All() {
		if k == key {
			return v, true
		}
	}
	return "", false
}

func cutField(d Data) (field string, rest Data, ok bool) {
	n, w := binary.Uvarint(d)
	if w <= 0 || n > uint64(len(d)-w) {
		return "", nil, false
	}
	b := d[w : w+int(n)]
	return unsafe.String(unsafe.SliceData(b), len(b)), d[w+int(n):], true
}
