package stanza

// Held is the size of the chunk that r holds.
func (r *Reader) Held() int { return cap(r.buf) }
