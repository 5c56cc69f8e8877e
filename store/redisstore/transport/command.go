package transport

import (
	"errors"

	"github.com/redis/go-redis/v9"
)

// commandCalls is the greatest number of calls in one command, so that Redis does not stand still
// for them.
const commandCalls = 100

// command is one EVALSHA: a call, or several calls of a batch script.
type command []*Call

// group makes commands from calls. The calls of one script stay in order.
func group(calls []*Call) (commands []command) {
	open := make(map[*Script]int, 4)
	for _, c := range calls {
		i, ok := open[c.Script]
		if !ok || !c.Script.batch || len(commands[i]) >= commandCalls {
			i = len(commands)
			open[c.Script] = i
			commands = append(commands, nil)
		}
		commands[i] = append(commands[i], c)
	}
	return commands
}

// args returns the arguments of the command. The keys of a batch are in its parts, because in a
// cluster all KEYS must be of one slot. A script may still touch any key that this Redis has. If a
// slot has moved, the first look at either key fails. Then only that part fails, before it has
// changed anything.
func (m command) args() []any {
	first := m[0]
	if !first.Script.batch {
		args := append(make([]any, 0, 3+len(first.Keys)+len(first.Args)), "EVALSHA", first.Script.sha, len(first.Keys))
		for _, k := range first.Keys {
			args = append(args, k)
		}
		return append(args, first.Args...)
	}
	size, args := 0, 0
	for _, c := range m {
		size += partHeader + len(c.Part)
		args += len(c.Args)
	}
	parts := make([]byte, 0, size)
	all := append(make([]any, 0, 5+args), "EVALSHA", first.Script.sha, 1, first.Keys[0], nil)
	for _, c := range m {
		parts = AppendCount(AppendCount(parts, len(c.Part)), len(c.Args))
		parts = append(parts, c.Part...)
		all = append(all, c.Args...)
	}
	all[4] = parts
	return all
}

// partHeader is the number of bytes before each part.
const partHeader = 2 * 4

// done gives each call its reply from Redis.
func (m command) done(reply any, err error) {
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	if err != nil || !m[0].Script.batch {
		for _, c := range m {
			c.Reply, c.Err = reply, err
		}
		return
	}
	replies, _ := reply.([]any)
	for _, c := range m {
		c.Reply, c.Err = nil, nil
		var first any
		if len(replies) > 0 {
			first, replies = replies[0], replies[1:]
		}
		switch n := first.(type) {
		case error:
			c.Err = n
		case int64:
			if n < 0 || n > int64(len(replies)) {
				c.Err = ErrReply
				continue
			}
			c.Reply, replies = replies[:n:n], replies[n:]
		default:
			c.Err = ErrReply
		}
	}
}
