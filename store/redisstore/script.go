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
type script struct{ name, source, sha string }

func load(name string) *script {
	b, err := sources.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(err) // it is part of the program
	}
	sum := sha1.Sum(b)
	return &script{name: name, source: string(b), sha: hex.EncodeToString(sum[:])}
}

// call is one run of a script, on one queue or another thing with a hash slot of its own.
type call struct {
	script *script
	keys   []string // the first decides the slot
	args   []any
	size   int // about the bytes of args, where they matter

	safe    bool // may run a second time when nobody knows whether the first arrived
	again   any  // the argument that is added then, if any
	durable bool // has to be on Options.Wait replicas

	reply any
	err   error
}

// scripts are all that there are, whoever runs them.
var scripts = func() (all []*script) {
	files, err := sources.ReadDir("lua")
	if err != nil {
		panic(err) // it is part of the program
	}
	for _, f := range files {
		all = append(all, load(strings.TrimSuffix(f.Name(), ".lua")))
	}
	return all
}()
