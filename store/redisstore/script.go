package redisstore

import (
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"strings"
)

// Each operation is one script in a file of its own, so that it happens at once or not at all.
//
//go:embed lua/*.lua
var sources embed.FS

// script is a Lua script that Redis knows by its hash once it has seen it.
type script struct {
	name, source, sha string

	// batch says that the script carries out many calls at once, as the end of its source says how. To begin
	// with a script costs Redis more than most of what the scripts then do.
	batch bool
}

// scripts are all that were loaded.
var scripts []*script

func load(name string) *script { return learn(&script{name: name, source: source(name)}) }

func loadBatch(name string) *script {
	head, rest := "", source(name)
	if strings.HasPrefix(rest, "#!") { // the flags, which must come first
		head, rest, _ = strings.Cut(rest, "\n")
	}
	return learn(&script{name: name, source: head + "\nlocal ended\n" + rest + source("batch"), batch: true})
}

func learn(s *script) *script {
	sum := sha1.Sum([]byte(s.source))
	s.sha = hex.EncodeToString(sum[:])
	scripts = append(scripts, s)
	return s
}

func source(name string) string {
	b, err := sources.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(err) // it is part of the program
	}
	return withConstants(name, string(b))
}

// call is one run of a script, on one queue or another thing with a hash slot of its own.
type call struct {
	script *script
	keys   []string // the first decides the slot
	args   []any
	part   []byte // what goes before args, for a script that takes the parts of many
	size   int    // about the bytes of args, where they matter

	safe    bool   // may run a second time when nobody knows whether the first arrived
	again   func() // says so in the call, if it matters
	durable bool   // has to be on Options.Wait replicas
	relaxed bool   // needs them no more than there are: what is lost then does no harm
	hasty   bool   // fails at once if its Redis is in trouble, for those of other queues wait too

	repeated bool // it was run again, and an earlier run whose reply was lost may have done its work
	reply    any
	err      error
}
