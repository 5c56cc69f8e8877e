package server

import "github.com/openccs/openccs/ccs"

// CheckConns reports what is wrong with MaxConns where the process may open so many files.
func CheckConns(c *Config, limit int) error { return c.checkConns(limit) }

// Turns are the turns of a server, and what ends handing them over through a pipe.
func Turns() (*ccs.Turns, func() error, error) {
	t, err := newTurns(tcp{})
	if err != nil {
		return nil, nil, err
	}
	return t.Turns, t.close, nil
}
