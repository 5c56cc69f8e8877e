package transport

import (
	"encoding/binary"
	"math"
)

// Scripts that take parts unpack them with struct.unpack, little endian. Counts are 4 bytes,
// numbers that may be larger are doubles, and texts follow their lengths.

// AppendCount appends a count.
func AppendCount(b []byte, n int) []byte {
	return binary.LittleEndian.AppendUint32(b, uint32(max(n, 0)))
}

// AppendNumber appends a number that may be large.
func AppendNumber(b []byte, n int64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(float64(n)))
}

// AppendText appends a text and its length.
func AppendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(text))), text...)
}

// AppendKeys appends each of some keys as a text.
func AppendKeys(b []byte, keys []string) []byte {
	for _, k := range keys {
		b = AppendText(b, k)
	}
	return b
}
