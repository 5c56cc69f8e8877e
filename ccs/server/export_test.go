package server

// CheckConns reports what is wrong with MaxConns where the process may open so many files.
func CheckConns(c *Config, limit int) error { return c.checkConns(limit) }
