package mcsserver

import (
	"errors"
	"math"
	"sync"

	"github.com/openccs/openccs/ccs/mcs"
)

const (
	claimBatch    = 256       // messages taken from the store at a time
	maxPongs      = 64        // heartbeats that may wait for an answer
	maxKeptBuffer = 256 << 10 // a larger write buffer is freed
	maxWrite      = 1 << 20   // bytes of messages that are written at a time, the last excepted
	minSize       = 512       // the smallest size that room assumes for a message
)

// requestWrite runs note under mu to leave work for the writer, and starts a writer if none runs.
func (s *session) requestWrite(note func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	note()
	if s.writing || s.ended || !s.due() {
		return
	}
	s.writing = true
	s.writers.Add(1)
	go s.writeLoop()
}

// due reports whether a writer has work.
func (s *session) due() bool {
	return s.ackDue || s.pongs > 0 || s.pingDue || s.wakeUp && s.window.Free() > 0
}

var writeBuffers = sync.Pool{New: func() any { return new([]byte) }}

// writeLoop writes everything that is due, and ends.
func (s *session) writeLoop() {
	defer s.writers.Done()
	buf := writeBuffers.Get().(*[]byte)
	defer func() {
		if cap(*buf) <= maxKeptBuffer {
			writeBuffers.Put(buf)
		}
	}()
	for {
		b, err := s.appendDue((*buf)[:0])
		if err == nil && len(b) > 0 {
			err = s.writeCounted(b)
		}
		*buf = b
		s.mu.Lock()
		if err != nil && s.failed == nil {
			s.failed = err
		}
		if s.failed != nil || s.ended || !s.due() {
			s.writing = false
			s.mu.Unlock()
			if err != nil {
				s.close(err) // the reader ends too
			}
			return
		}
		s.mu.Unlock()
	}
}

// writeCounted is write for bytes that count as held until the device has taken them.
func (s *session) writeCounted(b []byte) error {
	n := int64(len(b))
	s.srv.opts.Memory.Add(n)
	defer s.srv.opts.Memory.Add(-n)
	return s.write(b)
}

// room returns how many messages may be claimed and written now. It estimates their size from the
// last batch.
func (s *session) room() int {
	return max(1, int(min(maxWrite, s.srv.opts.Memory.Share())/max(int64(s.size), minSize)))
}

// appendDue appends the frames that are due.
func (s *session) appendDue(b []byte) ([]byte, error) {
	s.mu.Lock()
	pongs, status, pingDue := s.pongs, s.status, s.pingDue
	ackDue, processed, idle := s.ackDue, s.processed, s.idle
	room := 0
	if s.wakeUp {
		room = min(s.window.Free(), claimBatch)
		if room > 0 {
			s.wakeUp = false
		}
	}
	s.pongs, s.ackDue, s.pingDue = 0, false, false
	s.mu.Unlock()

	if s.sent > math.MaxInt32-claimBatch-maxPongs {
		return b, errors.New("the connection has carried as many frames as can be counted")
	}
	for range pongs {
		b = mcs.AppendFrame(b, mcs.TagHeartbeatAck, &mcs.Heartbeat{LastStreamID: processed, Status: status})
		s.sent++
	}
	if pingDue {
		b = mcs.AppendHeartbeat(b, mcs.TagHeartbeatPing, processed)
		s.sent++
	}
	if room > 0 {
		var err error
		if b, err = s.offer(b, min(room, s.room()), processed, idle); err != nil {
			return b, err
		}
	}
	if ackDue && len(b) == 0 {
		b = mcs.AppendStreamAck(b, processed)
		s.sent++
	}
	return b, nil
}
