package load

import _ "embed"

// Schema is the JSON schema of a Result.
//
//go:embed result.schema.json
var Schema string
