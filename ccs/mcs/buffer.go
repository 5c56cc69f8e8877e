package mcs

import "sync"

// The sizes of buffer that readers share. One page holds what devices send as a rule; the larger size
// holds the largest data frame. What is larger still, a long login, is a connection's own.
const (
	pageSize  = 4 << 10
	chunkSize = 32 << 10
)

var (
	pages  = sync.Pool{New: func() any { return new([pageSize]byte) }}
	chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}
)

// getBuffer returns the next size up from n bytes.
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

// putBuffer takes back what getBuffer returned; other buffers are left to the garbage collector.
func putBuffer(b []byte) {
	switch len(b) {
	case pageSize:
		pages.Put((*[pageSize]byte)(b))
	case chunkSize:
		chunks.Put((*[chunkSize]byte)(b))
	}
}
