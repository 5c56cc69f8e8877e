package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/openccs/openccs/ccs/load"
)

type loadDiffCmd struct {
	A string `arg:"" help:"JSON file with the result of a run, as --json printed it."`
	B string `arg:"" help:"JSON file with the result of another run."`
}

// Help returns the long help with examples.
func (loadDiffCmd) Help() string {
	return `Examples:

    ccs load diff before.json after.json
`
}

// Run prints the differences.
func (c *loadDiffCmd) Run(out *output) error {
	var results [2]load.Result
	for i, path := range []string{c.A, c.B} {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(b, &results[i]); err != nil {
			return &hintedError{err: fmt.Errorf("%s: %w", path, err), hint: "give what ccs load --json has printed"}
		}
	}
	return out.printf("%s", load.Diff(&results[0], &results[1]))
}

type loadSchemaCmd struct{}

// Help returns the long help with examples.
func (loadSchemaCmd) Help() string {
	return `Examples:

    ccs load schema > result.schema.json
`
}

// Run prints the schema.
func (loadSchemaCmd) Run(out *output) error { return out.printf("%s", load.Schema) }
