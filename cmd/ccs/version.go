package main

import "runtime"

// version is set by the linker (see the Makefile).
var version = "dev"

type versionCmd struct {
	JSON bool `help:"Output as one JSON object. Default: text."`
}

// Help returns the long help with examples.
func (versionCmd) Help() string {
	return `Examples:

    ccs version
    ccs version --json
`
}

// Run prints the version of ccs and of the Go that built it.
func (c *versionCmd) Run(out *output) error {
	if c.JSON {
		return out.json(struct {
			Version string `json:"version"`
			Go      string `json:"go"`
		}{version, runtime.Version()})
	}
	return out.printf("ccs %s (%s)\n", version, runtime.Version())
}
