package transport

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
)

// ErrReply says that Redis gave a reply that no script of this version returns.
var ErrReply = errors.New("record in Redis is damaged, or a newer ccs wrote it")

// Script is a Lua script that Redis knows by its hash once it was loaded. Use Scripts.Add.
type Script struct {
	name, source, sha string

	// batch says that the script carries out many calls at once; see the end of its source.
	// Starting a script costs Redis more than most of the work that the scripts do.
	batch bool
}

// Name returns the name of the script.
func (s *Script) Name() string { return s.name }

// Source returns the source that Redis gets.
func (s *Script) Source() string { return s.source }

// Scripts holds all scripts of a program.
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

// Call is one run of a script, on one queue or another object with its own hash slot.
type Call struct {
	Script *Script
	Keys   []string // the first decides the slot
	Args   []any
	Part   []byte // sent before Args, for a batch script
	Size   int    // about the bytes of Args, where they matter

	Safe    bool   // may run a second time if the first reply was lost
	Again   func() // says so in the call, if it matters
	Durable bool   // must be on Options.Wait replicas
	Relaxed bool   // fewer replicas are enough: a loss does no harm
	// Hasty says that the call fails at once if its Redis is in trouble, because calls for others
	// wait too.
	Hasty bool

	// Repeated says that the call was run again. An earlier run whose reply was lost may have done
	// its work.
	Repeated bool
	Reply    any
	Err      error
}
