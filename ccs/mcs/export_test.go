package mcs

// ParkedSize is the size of a Reader's buffer between frames.
const ParkedSize = parkedSize

// BufferSize returns the current size of r's buffer.
func (r *Reader) BufferSize() int { return len(r.buf) }
