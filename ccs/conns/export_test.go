package conns

// Holds reports whether the Bulk has a buffer.
func (b *Bulk) Holds() bool { return b.buf != nil }
