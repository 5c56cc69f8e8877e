package eagerconn

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"unsafe"
)

// These are the names of the buffers in a tls.Conn that keep the size of the largest handshake
// message for the life of the connection, and of the reader that refers to one of them.
const (
	recordBuffer  = "rawInput" // bytes.Buffer: read and not decrypted
	messageBuffer = "hand"     // bytes.Buffer: handshake messages
	recordReader  = "input"    // bytes.Reader: decrypted and not read
)

var shrinkable = hasField[bytes.Buffer](recordBuffer) && hasField[bytes.Buffer](messageBuffer) && hasField[bytes.Reader](recordReader)

func hasField[T any](name string) bool {
	f, ok := reflect.TypeFor[tls.Conn]().FieldByName(name)
	return ok && f.Type == reflect.TypeFor[T]()
}

// Shrink frees the memory that a TLS connection needed for its handshake. The connection would
// keep it otherwise: 3 KiB for a ClientHello with a key share of ML-KEM. crypto/tls has no call
// for that. If the fields of tls.Conn are not the expected ones, Shrink does nothing and returns
// false.
//
// The goroutine that reads calls Shrink after the handshake.
func Shrink(c *tls.Conn) bool {
	if !shrinkable {
		return false
	}
	v := reflect.ValueOf(c).Elem()
	records, messages := field[bytes.Buffer](v, recordBuffer), field[bytes.Buffer](v, messageBuffer)
	decrypted := field[bytes.Reader](v, recordReader)
	if records.Len() > 0 || messages.Len() > 0 || decrypted.Len() > 0 {
		return false
	}
	*records, *messages, *decrypted = bytes.Buffer{}, bytes.Buffer{}, bytes.Reader{}
	return true
}

func field[T any](v reflect.Value, name string) *T {
	return (*T)(unsafe.Pointer(v.FieldByName(name).UnsafeAddr()))
}
