package mcs

import "sync"

// Readers share buffers of these sizes. One page holds the usual frames of a device. The larger
// size holds the largest data frame. A connection allocates its own buffer for a larger frame,
// such as a long login.
const (
	pageSize  = 4 << 10
	chunkSize = 32 << 10
)

var (
	pages  = sync.Pool{New: func() any { return new([pageSize]byte) }}
	chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}
)

// getBuffer returns a buffer of the next size above n bytes.
func getBuffer(n int) []byte {
	switch {
	case n < pageSize:
		return pages.Get().(*[pageSize]byte)[:]
	case n < chunkSize:
		return chunks.Get().(*[chunkSize]byte)[:]
	default:
		return make([]byte, 2*n)
	}
}

// putBuffer takes back a buffer from getBuffer. It leaves other buffers to the garbage collector.
func putBuffer(b []byte) {
	switch len(b) {
	case pageSize:
		pages.Put((*[pageSize]byte)(b))
	case chunkSize:
		chunks.Put((*[chunkSize]byte)(b))
	}
}
