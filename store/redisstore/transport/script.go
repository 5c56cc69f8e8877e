package transport

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
)

// ErrReply says that Redis has replied what no script of this version returns.
var ErrReply = errors.New("record in Redis is damaged, or a newer ccs wrote it")

// Script is a Lua script that Redis knows by its hash once it has seen it. Use Scripts.Add.
type Script struct {
	name, source, sha string

	// batch says that the script carries out many calls at once, as the end of its source says how. To begin
	// with a script costs Redis more than most of what the scripts then do.
	batch bool
}

// Name returns the name of the script.
func (s *Script) Name() string { return s.name }

// Source returns what Redis is told.
func (s *Script) Source() string { return s.source }

// Scripts are all scripts of a program.
type Scripts struct{ all []*Script }

// Add makes a script. A batch script takes the parts of many calls at once.
func (s *Scripts) Add(name, source string, batch bool) *Script {
	sum := sha1.Sum([]byte(source))
	one := &Script{name: name, source: source, sha: hex.EncodeToString(sum[:]), batch: batch}
	s.all = append(s.all, one)
	return one
}

// All lists the scripts.
func (s *Scripts) All() []*Script { return s.all }

// Call is one run of a script, on one queue or another thing with a hash slot of its own.
type Call struct {
	Script *Script
	Keys   []string // the first decides the slot
	Args   []any
	Part   []byte // what goes before Args, for a batch script
	Size   int    // about the bytes of Args, where they matter

	Safe    bool   // may run a second time when nobody knows whether the first arrived
	Again   func() // says so in the call, if it matters
	Durable bool   // must be on Options.Wait replicas
	Relaxed bool   // needs them no more than there are: what is lost then does no harm
	Hasty   bool   // fails at once if its Redis is in trouble, because the calls for others wait too

	Repeated bool // it was run again, and an earlier run whose reply was lost may have done its work
	Reply    any
	Err      error
}
