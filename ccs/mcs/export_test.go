package mcs

// ParkedSize is what a Reader holds between frames.
const ParkedSize = parkedSize

// BufferSize is the size of what r holds at the moment.
func (r *Reader) BufferSize() int { return len(r.buf) }
