package gcmhttp

import (
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/internal/downstream"
	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/stanza"
)

// call is one request and its memory, which the next request reuses. Nothing that the router keeps
// shares it.
type call struct {
	format  format
	request stanza.Request
	// data holds the pairs of data and notification. It is not nil, so that an empty object is not
	// nil either.
	data    payload.Data
	ids     []byte
	batch   []ccs.Downstream
	results []ccs.Result
	number  uint64 // multicast_id
}

var calls = sync.Pool{New: func() any { return &call{data: make(payload.Data, 0, 4<<10)} }}

// maxKeptData is the largest memory for pairs that is kept for the next request.
const maxKeptData = 64 << 10

func (c *call) done() {
	if cap(c.data) > maxKeptData {
		return
	}
	clear(c.request.Tokens)
	clear(c.batch)
	clear(c.results)
	*c = call{
		request: stanza.Request{Tokens: c.request.Tokens[:0]}, data: c.data[:0], ids: c.ids[:0],
		batch: c.batch[:0], results: c.results[:0],
	}
	calls.Put(c)
}

// decode reads a request. Its error is a *stanza.Error.
func (c *call) decode(body []byte, rules *payload.Rules) error {
	c.number = rand.Uint64N(maxNumber-1) + 1
	return stanza.DecodeRequest(body, rules, &c.request)
}

// maxNumber bounds the numbers in answers, so that a JavaScript client reads them without loss
// (CCS 6.5).
const maxNumber = 1 << 53

// compose makes the batch for the router.
func (c *call) compose(ids *messageIDs) {
	m := downstream.Of(&c.request.Downstream)
	m.Unique = true
	m.Data = c.pairs(c.request.Downstream.Data)
	if c.request.Downstream.Notification != "" {
		m.Notification = c.pairs(c.request.Downstream.Notification)
	}
	if !c.request.Multicast {
		c.ids = ids.append(c.ids, 1)
		m.ID = string(c.ids)
		c.batch = append(c.batch, m)
		return
	}
	n := len(c.request.Tokens)
	c.ids = ids.append(c.ids, n)
	all := string(c.ids)
	for i, token := range c.request.Tokens {
		m.To, m.ID = token, all[i*messageIDLen:(i+1)*messageIDLen]
		if strings.HasPrefix(token, payload.TopicPrefix) || ccs.IsGroupKey(token) {
			m.To = "" // a topic or a group is no registration (TOPICS 2.4)
		}
		c.batch = append(c.batch, m)
	}
}

// toTopic reports whether the request is for the subscribers of topics.
func (c *call) toTopic() bool {
	m := &c.request.Downstream
	return m.Condition != "" || strings.HasPrefix(m.To, payload.TopicPrefix)
}

// pairs appends the pairs of an object to the data, and returns them. Earlier pairs stay valid when
// the data moves.
func (c *call) pairs(o stanza.Object) payload.Data {
	start := len(c.data)
	c.data = o.AppendData(c.data)
	return c.data[start:len(c.data):len(c.data)]
}
