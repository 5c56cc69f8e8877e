package eagerconn

// Holds reports whether the Conn has a buffer.
func (b *Conn) Holds() bool { return b.buf != nil }
