package mcsclient

// stream counts the frames of a connection (DEV 7.1). It has no lock and does no I/O.
//
// Both sides number every frame they send; the login has number 1. A frame from this side with
// "handled" reports the frames that it received. Once the server has confirmed that frame, the
// persistent ids covered by it are no longer needed.
type stream struct {
	sent     int32 // number of frames from this side
	handled  int32 // number of the server's frames that are handled
	reported int32 // the greatest handled number in a frame from this side

	received queue[receipt]
	reports  queue[report]
	upstream queue[*outgoing]

	// unreported is the number of receipts that no report covers yet.
	unreported int
}

// receipt is a persistent id that arrived in the server's frame number n; n is 0 for ids from
// Options.
type receipt struct {
	id string
	n  int32
}

// report is a frame from this side that told the server how many of its frames are handled.
type report struct {
	sent    int32
	handled int32
}

// outgoing is an upstream message that was sent and is not acknowledged.
type outgoing struct {
	m    *Upstream
	n    int32 // number of its frame
	done func(error)
}

// login counts the first frame, which lists received.
func (s *stream) login(received []string) {
	s.sent = 1
	for _, id := range received {
		s.received.push(receipt{id: id})
	}
	s.reports.push(report{sent: 1})
}

// send counts a frame from this side that carries last, and returns its number.
func (s *stream) send(last int32) int32 {
	s.sent++
	if last > s.reported {
		s.reported = last
		if s.unreported > 0 {
			s.reports.push(report{sent: s.sent, handled: last})
			s.unreported = 0
		}
	}
	return s.sent
}

// handle counts a handled frame of the server, and keeps its persistent id if it has one.
func (s *stream) handle(id string) {
	s.handled++
	if id != "" {
		s.received.push(receipt{id: id, n: s.handled})
		s.unreported++
	}
}

// confirm processes the server's confirmation of the frames 1 to last from this side. It appends
// the messages that are acknowledged by that to acked.
func (s *stream) confirm(last int32, acked []*outgoing) []*outgoing {
	last = min(last, s.sent)
	covered := int32(-1)
	for s.reports.len() > 0 && s.reports.front().sent <= last {
		covered = s.reports.pop().handled
	}
	for s.received.len() > 0 && s.received.front().n <= covered {
		s.received.pop()
	}
	for s.upstream.len() > 0 && s.upstream.front().n <= last {
		acked = append(acked, s.upstream.pop())
	}
	return acked
}

// confirmIDs does the same as confirm for a SelectiveAck.
func (s *stream) confirmIDs(ids []string, acked []*outgoing) []*outgoing {
	listed := make(map[string]bool, len(ids))
	for _, id := range ids {
		listed[id] = true
	}
	for range s.upstream.len() {
		if o := s.upstream.pop(); o.m.PersistentID != "" && listed[o.m.PersistentID] {
			acked = append(acked, o)
		} else {
			s.upstream.push(o)
		}
	}
	return acked
}

// queue is a first-in, first-out queue.
type queue[T any] struct {
	items []T
	head  int
}

func (q *queue[T]) len() int { return len(q.items) - q.head }
func (q *queue[T]) front() T { return q.items[q.head] }
func (q *queue[T]) all() []T { return q.items[q.head:] }
func (q *queue[T]) push(v T) {
	if q.head > 0 && len(q.items) == cap(q.items) && q.head >= len(q.items)/2 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, v)
}

func (q *queue[T]) pop() T {
	var zero T
	v := q.items[q.head]
	q.items[q.head] = zero
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return v
}
