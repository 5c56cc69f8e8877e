package mcs

import (
	"encoding/binary"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// The wire types are the low bits of a field key. A key constant such as 3<<3|wireBytes names a
// field by number and type at once, and serves both directions.
const (
	wireVarint  = uint64(protowire.VarintType)
	wireFixed64 = uint64(protowire.Fixed64Type)
	wireBytes   = uint64(protowire.BytesType)
)

// fields iterates over the fields of one message:
//
//	f := fields{rest: b}
//	for f.next() {
//		switch f.key { … }
//	}
//	return f.err
type fields struct {
	key  uint64 // number<<3 | wire type
	n    uint64 // value of a varint or fixed64 field
	b    []byte // value of a length-delimited field
	rest []byte
	err  error
}

func (f *fields) next() bool {
	if len(f.rest) == 0 {
		return false
	}
	key, n := protowire.ConsumeVarint(f.rest)
	if n < 0 {
		return f.fail("cut field key")
	}
	num, typ := protowire.DecodeTag(key)
	if num < protowire.MinValidNumber || num > protowire.MaxValidNumber {
		return f.fail("impossible field number")
	}
	f.key, f.rest = key, f.rest[n:]
	switch typ {
	case protowire.VarintType:
		f.n, n = protowire.ConsumeVarint(f.rest)
	case protowire.Fixed64Type:
		f.n, n = protowire.ConsumeFixed64(f.rest)
	case protowire.BytesType:
		f.b, n = protowire.ConsumeBytes(f.rest)
	default: // no message here has such a field: skip it
		n = protowire.ConsumeFieldValue(num, typ, f.rest)
	}
	if n < 0 {
		return f.fail("cut or malformed field value")
	}
	f.rest = f.rest[n:]
	return true
}

func (f *fields) fail(reason string) bool {
	f.err = badFrame(reason)
	return false
}

// str returns the value without a copy; see the package comment on memory.
func (f *fields) str() string { return unsafe.String(unsafe.SliceData(f.b), len(f.b)) }

// bytes returns the value of a bytes field. It is never nil, so that an empty field differs from
// an absent one.
func (f *fields) bytes() []byte { return f.b[:len(f.b):len(f.b)] }

func (f *fields) int32() int32 { return int32(f.n) }
func (f *fields) int64() int64 { return int64(f.n) }
func (f *fields) bool() bool   { return f.n != 0 }

// nested decodes an embedded message. Its first error becomes f's error and ends the iteration.
func (f *fields) nested(unmarshal func([]byte) error) {
	if err := unmarshal(f.b); err != nil {
		f.err, f.rest = err, nil
	}
}

func appendStr(b []byte, key uint64, s string) []byte {
	b = protowire.AppendVarint(b, key)
	b = protowire.AppendVarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendStrIf(b []byte, key uint64, s string) []byte {
	if s == "" {
		return b
	}
	return appendStr(b, key, s)
}

func appendBytes(b []byte, key uint64, v []byte) []byte {
	b = protowire.AppendVarint(b, key)
	b = protowire.AppendVarint(b, uint64(len(v)))
	return append(b, v...)
}

// appendInt appends v sign-extended, as protobuf does for int32, int64 and enums.
func appendInt(b []byte, key uint64, v int64) []byte {
	b = protowire.AppendVarint(b, key)
	return protowire.AppendVarint(b, uint64(v))
}

func appendIntIf(b []byte, key uint64, v int64) []byte {
	if v == 0 {
		return b
	}
	return appendInt(b, key, v)
}

func appendBool(b []byte, key uint64, v bool) []byte {
	b = protowire.AppendVarint(b, key)
	return protowire.AppendVarint(b, protowire.EncodeBool(v))
}

func appendBoolIf(b []byte, key uint64, v bool) []byte {
	if !v {
		return b
	}
	return appendBool(b, key, v)
}

func appendFixed64(b []byte, key uint64, v uint64) []byte {
	b = protowire.AppendVarint(b, key)
	return protowire.AppendFixed64(b, v)
}

// openLen reserves one byte, which is enough for most lengths. closeLen writes the length of the
// bytes appended since, and moves these if their length needs more than one byte.
func openLen(b []byte) ([]byte, int) { return append(b, 0), len(b) }

func closeLen(b []byte, at int) []byte {
	n := len(b) - at - 1
	if extra := protowire.SizeVarint(uint64(n)) - 1; extra > 0 {
		var room [binary.MaxVarintLen64]byte
		b = append(b, room[:extra]...)
		copy(b[at+1+extra:], b[at+1:at+1+n])
	}
	binary.PutUvarint(b[at:], uint64(n))
	return b
}
