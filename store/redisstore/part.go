package redisstore

import (
	"encoding/binary"
	"math"
)

// Scripts that take parts unpack them with struct.unpack, little endian: counts are 4 bytes, numbers that may be
// larger are doubles, and texts stand behind their lengths.

func appendCount(b []byte, n int) []byte {
	return binary.LittleEndian.AppendUint32(b, uint32(max(n, 0)))
}

func appendNumber(b []byte, n int64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(float64(n)))
}

func appendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(text))), text...)
}

// appendKeys appends keys.
func appendKeys(b []byte, keys []string) []byte {
	for _, k := range keys {
		b = appendText(b, k)
	}
	return b
}
