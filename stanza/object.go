package stanza

import (
	"encoding/binary"
	"iter"
)

// AppendData appends the object's pairs to d, with the values as strings: numbers as they are
// written, true and false, arrays and objects as compact JSON text. A null value drops the key
// (CCS 2.4).
func (o Object) AppendData(d Data) Data {
	l := lexer{b: bytesOf(string(o))}
	if !l.open() {
		return d
	}
	for first := true; ; first = false {
		key, more, _ := l.key(first)
		var v value
		if !more || !l.value(&v, 1) {
			return d
		}
		if v.kind == kindNull {
			continue
		}
		d = binary.AppendUvarint(d, uint64(key.size))
		d = l.appendValue(d, key)
		d = binary.AppendUvarint(d, uint64(v.size))
		d = l.appendValue(d, v)
	}
}

// All yields the same pairs that AppendData appends. Strings that need no rewriting share the
// object's memory.
func (o Object) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		l := lexer{b: bytesOf(string(o))}
		if !l.open() {
			return
		}
		for first := true; ; first = false {
			key, more, _ := l.key(first)
			var v value
			if !more || !l.value(&v, 1) {
				return
			}
			if v.kind != kindNull && !yield(l.string(key), l.string(v)) {
				return
			}
		}
	}
}

// AppendObject appends the pairs as a JSON object of strings.
func AppendObject(b []byte, d Data) []byte {
	b = append(b, '{')
	comma := false
	for k, v := range d.All() {
		if comma {
			b = append(b, ',')
		}
		comma = true
		b = AppendJSONString(b, k)
		b = append(b, ':')
		b = AppendJSONString(b, v)
	}
	return append(b, '}')
}
