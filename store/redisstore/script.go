package redisstore

import (
	"embed"
	"strings"

	"github.com/openccs/openccs/store/redisstore/transport"
)

// Each operation is one script in its own file, so it happens at once or not at all.
//
//go:embed lua/*.lua
var sources embed.FS

// scripts has all scripts that were loaded.
var scripts transport.Scripts

func load(name string) *transport.Script { return scripts.Add(name, source(name), false) }

func loadBatch(name string) *transport.Script {
	head, rest := "", source(name)
	if strings.HasPrefix(rest, "#!") { // the flags, which must come first
		head, rest, _ = strings.Cut(rest, "\n")
	}
	return scripts.Add(name, head+"\nlocal ended\n"+rest+source("batch"), true)
}

func source(name string) string {
	b, err := sources.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(err) // the script is a part of the program
	}
	return withConstants(name, string(b))
}
