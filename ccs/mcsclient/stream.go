package mcsclient

// stream does a connection's counting (DEV 7.1). It has no lock and does no I/O.
//
// Both sides number every frame they send, the login being number 1. A frame of ours that carries
// "handled" reports what we received; once the server says that it has that frame, the persistent ids it
// covered need not be kept any longer.
type stream struct {
	sent     int32 // our frames
	handled  int32 // the server's frames, and we are done with them
	reported int32 // the greatest handled number in a frame of ours

	received queue[receipt]
	reports  queue[report]
	upstream queue[*outgoing]

	// unreported counts the receipts that no report covers yet.
	unreported int
}

// receipt is a persistent id that we received in the server's frame number n; 0 came from Options.
type receipt struct {
	id string
	n  int32
}

// report is a frame of ours that told the server how many of its frames we handled.
type report struct {
	sent    int32
	handled int32
}

// outgoing is an upstream message that was sent and is not acknowledged.
type outgoing struct {
	m    *Upstream
	n    int32 // its frame
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

// send counts a frame of ours that carries last, and returns its number.
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

// handle counts a frame of the server's that was dealt with, and its persistent id if it has one.
func (s *stream) handle(id string) {
	s.handled++
	if id != "" {
		s.received.push(receipt{id: id, n: s.handled})
		s.unreported++
	}
}

// confirm takes the server's word that it has our frames 1 to last, and appends the messages that are
// thereby acknowledged.
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

// confirmIDs is confirm for a SelectiveAck.
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

// queue is first in, first out.
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
