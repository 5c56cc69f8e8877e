package eagerconn_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/devcert"
	"github.com/openccs/openccs/ccs/internal/eagerconn"
	"github.com/openccs/openccs/flowcontrol"
)

// buffered collects the written bytes until Flush.
type buffered struct {
	net.Conn
	b    bytes.Buffer
	hold bool
}

func (c *buffered) Write(p []byte) (int, error) {
	if c.hold {
		return c.b.Write(p)
	}
	return c.Conn.Write(p)
}

func (c *buffered) flush(t *testing.T) {
	_, err := c.Conn.Write(c.b.Bytes())
	require.NoError(t, err)
	c.b.Reset()
}

// pair is a TLS connection whose server end is read through a Conn.
func pair(t *testing.T) (client *tls.Conn, wire *buffered, server *tls.Conn, bulk *eagerconn.Conn) {
	files, err := devcert.Ensure(t.TempDir(), []string{"localhost"}, time.Now())
	require.NoError(t, err)
	cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	s, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { c.Close(); s.Close() })
	wire = &buffered{Conn: c}
	client = tls.Client(wire, &tls.Config{InsecureSkipVerify: true})
	bulk = eagerconn.New(s)
	server = tls.Server(bulk, &tls.Config{Certificates: []tls.Certificate{cert}})
	shaken := make(chan error, 1)
	go func() { shaken <- client.Handshake() }()
	require.NoError(t, server.Handshake())
	require.NoError(t, <-shaken)
	return client, wire, server, bulk
}

func TestAllRecordsThatHaveComeAreReadBeforeTheNextWait(t *testing.T) {
	const records = 300
	client, wire, server, bulk := pair(t)
	bulk.Eager(func() eagerconn.Turn { return new(flowcontrol.Turn[int]) })
	b := make([]byte, 100)
	for range 3 {
		wire.hold = true
		for range records {
			_, err := client.Write([]byte("ack"))
			require.NoError(t, err)
		}
		wire.flush(t)
		waits, got := 0, 0
		for got < records*len("ack") {
			n, err := server.Read(b)
			if eagerconn.WouldWait(err) {
				waits++
				bulk.Wait()
				continue
			}
			require.NoError(t, err)
			got += n
		}
		assert.LessOrEqual(t, waits, 2, "300 records came in one piece, perhaps two")
		_, err := server.Read(b)
		require.True(t, eagerconn.WouldWait(err), "there is nothing more")
	}
}

func TestARecordThatComesInPiecesIsWhole(t *testing.T) {
	client, wire, server, bulk := pair(t)
	bulk.Eager(func() eagerconn.Turn { return new(flowcontrol.Turn[int]) })
	wire.hold = true
	_, err := client.Write([]byte("in pieces"))
	require.NoError(t, err)
	pieces := bytes.Clone(wire.b.Bytes())
	go func() {
		for i := range pieces {
			wire.Conn.Write(pieces[i : i+1])
		}
		wire.Conn.Close()
	}()
	var got []byte
	b := make([]byte, 4)
	for {
		n, err := server.Read(b)
		got = append(got, b[:n]...)
		if eagerconn.WouldWait(err) {
			bulk.Wait()
			continue
		}
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
			break
		}
	}
	assert.Equal(t, "in pieces", string(got))
}

// A peer that begins a record and stops gets no buffer to hold.
func TestARecordThatIsOnlyBegunHoldsNothing(t *testing.T) {
	client, wire, server, bulk := pair(t)
	bulk.Eager(func() eagerconn.Turn { return new(flowcontrol.Turn[int]) })
	wire.hold = true
	_, err := client.Write([]byte("begun"))
	require.NoError(t, err)
	record := bytes.Clone(wire.b.Bytes())
	_, err = wire.Conn.Write(record[:5]) // its head
	require.NoError(t, err)
	b := make([]byte, 100)
	bulk.Wait()
	read := make(chan error, 1)
	go func() {
		_, err := server.Read(b)
		read <- err
	}()
	select {
	case err := <-read:
		require.True(t, eagerconn.WouldWait(err))
	case <-time.After(10 * time.Second):
		t.Fatal("the rest is waited for, with a buffer")
	}
	assert.False(t, bulk.Holds())

	_, err = wire.Conn.Write(record[5:])
	require.NoError(t, err)
	n := 0
	for n == 0 {
		bulk.Wait()
		n, err = server.Read(b)
		require.True(t, err == nil || eagerconn.WouldWait(err))
	}
	assert.Equal(t, "begun", string(b[:n]))
}

// Partial recognises a record that has begun, however its bytes arrived, and after whole ones.
func TestPartialRecords(t *testing.T) {
	record := append([]byte{23, 3, 3, 0x01, 0x02}, make([]byte, 0x102)...)
	stream := append(bytes.Repeat(record, 3), 23, 3, 3, 0, 0)
	for _, size := range []int{1, 2, 3, 5, 7, 64, len(record), len(record) + 2, len(stream)} {
		client, server := net.Pipe()
		bulk := eagerconn.New(server)
		go func() {
			defer client.Close()
			for p := stream; len(p) > 0; p = p[min(size, len(p)):] {
				client.Write(p[:min(size, len(p))])
			}
		}()
		read := 0
		for b := make([]byte, size); ; {
			n, err := bulk.Read(b)
			if err != nil {
				break
			}
			read += n
			whole := read%len(record) == 0 && read <= 3*len(record) || read == len(stream)
			assert.Equal(t, !whole, bulk.Partial(), "after %d bytes, %d at a time", read, size)
		}
		assert.Equal(t, len(stream), read)
	}
}
