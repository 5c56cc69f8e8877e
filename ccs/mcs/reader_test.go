package mcs_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/mcs"
)

// frame is a copy of what Next returned.
type frame struct {
	tag     mcs.Tag
	payload string
}

// readAll reads frames to the first error.
func readAll(r *mcs.Reader) (frames []frame, err error) {
	for {
		tag, payload, err := r.Next()
		if err != nil {
			return frames, err
		}
		frames = append(frames, frame{tag, string(payload)})
	}
}

func TestReaderCutsFrames(t *testing.T) {
	rows := []struct {
		name   string
		stream string
		frames []frame
		err    error
		reason string
	}{
		{name: "nothing at all", err: io.EOF},
		{name: "an empty ping", stream: "\x00\x00", frames: []frame{{tag: 0}}, err: io.EOF},
		{
			name:   "frames one behind the other",
			stream: "\x01\x02\x10\x11\x04\x00\x08\x03abc",
			frames: []frame{{1, "\x10\x11"}, {4, ""}, {8, "abc"}},
			err:    io.EOF,
		},
		{name: "a size longer than it need be", stream: "\x08\x83\x80\x80\x80\x00abc", frames: []frame{{8, "abc"}}, err: io.EOF},
		{name: "an end behind the tag", stream: "\x00\x00\x08", frames: []frame{{tag: 0}}, err: io.ErrUnexpectedEOF},
		{name: "an end within the size", stream: "\x08\x83", err: io.ErrUnexpectedEOF},
		{name: "an end before the payload", stream: "\x08\x03", err: io.ErrUnexpectedEOF},
		{name: "an end within the payload", stream: "\x08\x03ab", err: io.ErrUnexpectedEOF},
		{name: "the largest frame", stream: "\x08\xe8\x07" + long(1000), frames: []frame{{8, long(1000)}}, err: io.EOF},
		{name: "one byte more", stream: "\x08\xe9\x07", err: mcs.ErrTooBig, reason: "DataMessageStanza of 1001 bytes, limit 1000"},
		{name: "the largest size of five bytes", stream: "\x08\xff\xff\xff\xff\x7f", err: mcs.ErrTooBig, reason: "DataMessageStanza of 34359738367 bytes, limit 1000"},
		{name: "a size of six bytes", stream: "\x08\xff\xff\xff\xff\xff\x00", err: mcs.ErrBadFrame, reason: "size of more than 5 bytes"},
		{name: "a tag beyond the last", stream: "\x0f\x00\x10", frames: []frame{{tag: 15}}, err: mcs.ErrBadFrame, reason: "no such tag: tag 16"},
		{name: "another protocol", stream: "GET / HTTP/1.1\r\n", err: mcs.ErrBadFrame, reason: "no such tag: tag 71"},
	}
	sources := map[string]func(io.Reader) io.Reader{
		"at once":                    func(r io.Reader) io.Reader { return r },
		"byte by byte":               iotest.OneByteReader,
		"by halves":                  iotest.HalfReader,
		"with the end beside a byte": iotest.DataErrReader,
	}
	for _, row := range rows {
		for how, source := range sources {
			t.Run(row.name+" "+how, func(t *testing.T) {
				r := mcs.NewReader(source(bytes.NewReader([]byte(row.stream))), 1000)
				frames, err := readAll(r)
				assert.Equal(t, row.frames, frames)
				require.ErrorIs(t, err, row.err)
				if row.reason != "" {
					var fe *mcs.FrameError
					require.ErrorAs(t, err, &fe)
					assert.Equal(t, row.reason, fe.Reason)
				}
				_, _, again := r.Next()
				assert.Equal(t, err, again, "the error comes again")
			})
		}
	}
}

func TestReaderReadsTheVersionOnce(t *testing.T) {
	r := mcs.NewReader(bytes.NewReader([]byte("\x29\x00\x00")), 0)
	v, err := r.ReadVersion()
	require.NoError(t, err)
	assert.EqualValues(t, mcs.Version, v)
	frames, err := readAll(r)
	assert.Equal(t, []frame{{tag: mcs.TagHeartbeatPing}}, frames)
	assert.Equal(t, io.EOF, err)

	_, err = mcs.NewReader(bytes.NewReader(nil), 0).ReadVersion()
	assert.Equal(t, io.EOF, err)
}

func TestReaderGoesOnAfterADeadline(t *testing.T) {
	r := mcs.NewReader(&script{"\x08\x05ab", os.ErrDeadlineExceeded, "cde", os.ErrDeadlineExceeded, "\x04", "\x00"}, 100)
	_, _, err := r.Next()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	assert.Equal(t, 4, r.Buffered(), "a frame has begun")
	tag, payload, err := r.Next()
	require.NoError(t, err)
	assert.Equal(t, mcs.TagDataMessageStanza, tag)
	assert.Equal(t, "abcde", string(payload))
	_, _, err = r.Next()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	assert.Zero(t, r.Buffered())
	tag, _, err = r.Next()
	require.NoError(t, err)
	assert.Equal(t, mcs.TagClose, tag)
}

func TestReaderKnowsWhatIsReady(t *testing.T) {
	r := mcs.NewReader(&script{"\x04\x00\x04\x00\x08", "\x01", "x"}, 100)
	assert.False(t, r.Ready())
	for _, ready := range []bool{true, false, false} {
		_, _, err := r.Next()
		require.NoError(t, err)
		assert.Equal(t, ready, r.Ready())
	}
}

func TestReaderGivesUpOnASourceThatReturnsNothing(t *testing.T) {
	_, _, err := mcs.NewReader(readerFunc(func([]byte) (int, error) { return 0, nil }), 100).Next()
	assert.Equal(t, io.ErrNoProgress, err)
}

func TestReaderHoldsNoBufferBetweenFrames(t *testing.T) {
	var r *mcs.Reader
	var sizes []int
	stream := bytes.NewReader(mcs.AppendDataMessage(
		mcs.AppendDataMessage(nil, &mcs.DataMessage{From: long(200)}), &mcs.DataMessage{From: long(10000)}))
	r = mcs.NewReader(readerFunc(func(b []byte) (int, error) {
		sizes = append(sizes, r.BufferSize())
		return stream.Read(b[:min(len(b), 207)]) // so that the first frame comes on its own
	}), mcs.MaxFrame)
	frames, err := readAll(r)
	require.Equal(t, io.EOF, err)
	require.Len(t, frames, 2)
	assert.Equal(t, mcs.ParkedSize, sizes[0])
	assert.Equal(t, mcs.ParkedSize, sizes[len(sizes)-1])
	assert.Contains(t, sizes, 4096)
	assert.Contains(t, sizes, 32768)
}

func TestReaderGrowsWithWhatCameNotWithWhatWasAnnounced(t *testing.T) {
	r := mcs.NewReader(&script{"\x02\x80\x80\x08", "abc"}, mcs.MaxLogin)
	_, _, err := r.Next()
	require.Equal(t, io.ErrUnexpectedEOF, err)
	assert.LessOrEqual(t, r.BufferSize(), 4096)
}

func TestReaderTakesALongLogin(t *testing.T) {
	login := mcs.LoginRequest{ID: "chrome-156"}
	for range 3000 {
		login.ReceivedPersistentIDs = append(login.ReceivedPersistentIDs, mcs.PersistentID(1, 2))
	}
	stream := mcs.AppendFrame(nil, mcs.TagLoginRequest, &login)
	require.Greater(t, len(stream), 64<<10)
	r := mcs.NewReader(iotest.HalfReader(bytes.NewReader(append(stream, 0, 0))), mcs.MaxLogin)
	tag, payload, err := r.Next()
	require.NoError(t, err)
	require.Equal(t, mcs.TagLoginRequest, tag)
	var got mcs.LoginRequest
	require.NoError(t, got.Unmarshal(payload))
	assert.Len(t, got.ReceivedPersistentIDs, 3000)
	r.SetLimit(mcs.MaxFrame)
	_, _, err = r.Next()
	assert.NoError(t, err)
}

// script is a source that returns its strings and errors one by one, and then io.EOF.
type script []any

func (s *script) Read(b []byte) (int, error) {
	if len(*s) == 0 {
		return 0, io.EOF
	}
	switch step := (*s)[0].(type) {
	case string:
		n := copy(b, step)
		if (*s)[0] = step[n:]; n == len(step) {
			*s = (*s)[1:]
		}
		return n, nil
	default:
		*s = (*s)[1:]
		return 0, step.(error)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// FuzzReader compares any split of any stream with the stream read at once.
func FuzzReader(f *testing.F) {
	f.Add([]byte("\x00\x00\x08\x03abc\x04\x00"), []byte{1, 2, 3}, uint16(100))
	f.Add([]byte("\x08\xe8\x07"+long(1000)), []byte{200, 0, 7}, uint16(1000))
	f.Add([]byte("\x08\xff\xff\xff\xff\x7f"), []byte{}, uint16(0))
	f.Add(mcs.AppendFrame(nil, mcs.TagDataMessageStanza, &mcs.DataMessage{From: long(9000)}), []byte{255}, uint16(10000))
	f.Fuzz(func(t *testing.T, stream, splits []byte, limit uint16) {
		whole, wholeErr := readAll(mcs.NewReader(bytes.NewReader(stream), int(limit)))
		rest, turn := stream, 0
		split := mcs.NewReader(readerFunc(func(b []byte) (int, error) {
			if len(rest) == 0 {
				return 0, io.EOF
			}
			n := len(b)
			if len(splits) > 0 {
				n = min(n, 1+int(splits[turn%len(splits)]))
				turn++
			}
			n = copy(b[:n], rest)
			rest = rest[n:]
			return n, nil
		}), int(limit))
		frames, err := readAll(split)
		assert.Equal(t, whole, frames)
		assert.Equal(t, wholeErr, err)
		total := 0
		for _, f := range frames {
			assert.LessOrEqual(t, len(f.payload), int(limit))
			total += 2 + len(f.payload)
		}
		assert.LessOrEqual(t, total, len(stream))
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			var fe *mcs.FrameError
			assert.ErrorAs(t, err, &fe)
		}
	})
}
