package stanza

// Held returns the size of the chunk that r holds.
func (r *Reader) Held() int { return cap(r.buf) }
