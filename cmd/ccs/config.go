package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// configFlag is the path of a YAML file with settings.
type configFlag string

// BeforeResolve reads the file after its path is known and before kong asks for a value.
func (configFlag) BeforeResolve(command *kong.Context, trace *kong.Path) error {
	path := string(command.FlagValue(trace.Flag).(configFlag))
	file, err := readConfig(path, flagNames(command.Model.Node))
	if err != nil {
		return err
	}
	command.AddResolver(file)
	return nil
}

// configFile holds the values of a file by flag name.
type configFile struct {
	values map[string]any // string, or []any of strings
}

// readConfig reads a file and reports all keys that are no flags at once. A misspelt setting must
// not pass silently.
func readConfig(path string, known []string) (*configFile, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	var nodes map[string]yaml.Node
	if err := yaml.Unmarshal(b, &nodes); err != nil {
		return nil, fmt.Errorf("--config %s: %w", path, err)
	}
	file := &configFile{values: map[string]any{}}
	var problems []error
	for _, key := range sortedKeys(nodes) {
		value, err := configValue(nodes[key])
		switch {
		case !slices.Contains(known, key):
			problems = append(problems, fmt.Errorf("--config %s: unknown key %q%s", path, key, suggest(key, known)))
		case err != nil:
			problems = append(problems, fmt.Errorf("--config %s: key %q: %w", path, key, err))
		default:
			file.values[key] = value
		}
	}
	return file, errors.Join(problems...)
}

// configValue returns a value in the form of the command line.
func configValue(n yaml.Node) (any, error) {
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag != "!!null":
		return n.Value, nil
	case n.Kind == yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				return nil, fmt.Errorf("line %d: a list may only hold plain values", item.Line)
			}
			list = append(list, item.Value)
		}
		return list, nil
	}
	return nil, fmt.Errorf("line %d: give it one value, or a list of them", n.Line)
}

// Validate implements kong.Resolver. Keys were checked when the file was read.
func (*configFile) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver. It returns the value of a flag that neither the command line
// nor the environment has set.
func (c *configFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, env := range flag.Envs {
		if _, set := os.LookupEnv(env); set {
			return nil, nil
		}
	}
	return c.values[flag.Name], nil
}

// flagNames lists the flags of all commands, except for flags that make no sense in a file.
func flagNames(n *kong.Node) []string {
	var names []string
	for _, flag := range n.Flags {
		if flag.Name != "help" && flag.Name != "config" {
			names = append(names, flag.Name)
		}
	}
	for _, child := range n.Children {
		names = append(names, flagNames(child)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// suggest returns a hint with the known key that was probably meant.
func suggest(key string, known []string) string {
	plain := func(s string) string { return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(s)) }
	for _, k := range known {
		if plain(k) == plain(key) {
			return fmt.Sprintf(": did you mean %q?", k)
		}
	}
	return ": keys are the names of flags, such as xmpp-listen"
}

func sortedKeys(m map[string]yaml.Node) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
