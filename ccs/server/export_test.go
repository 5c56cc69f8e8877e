package server

import "github.com/openccs/openccs/ccs"

// CheckConns returns the mistake in MaxConns if the process may open limit files.
func CheckConns(c *Config, limit int) error { return c.checkConns(limit) }

// Turns returns the turns of a server, and the function that closes their pipe.
func Turns() (*ccs.Turns, func() error, error) {
	t, err := newTurns(tcp{})
	if err != nil {
		return nil, nil, err
	}
	return t.Turns, t.close, nil
}
