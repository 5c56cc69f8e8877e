package load_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/load"
)

// schema is the part of JSON schema that our schema uses.
type schema struct {
	Ref         string             `json:"$ref"`
	Type        string             `json:"type"`
	Properties  map[string]*schema `json:"properties"`
	Required    []string           `json:"required"`
	Items       *schema            `json:"items"`
	Definitions map[string]*schema `json:"$defs"`
}

// A run prints exactly the fields of the schema.
func TestTheSchemaDescribesAResult(t *testing.T) {
	_, where := target(t)
	r, err := load.Run(t.Context(), short(func(p *load.Plan) { p.Upstream, p.Receipts = 100, 10 }), where, load.Options{ServerPID: 1})
	require.NoError(t, err)
	if r.ServerCPU == nil { // optional, but described
		r.ServerCPU = new(float64)
	}
	r.Outages.List = append(r.Outages.List, load.Outage{Kind: load.NoAnswer})
	b, err := json.Marshal(r)
	require.NoError(t, err)
	var value any
	require.NoError(t, json.Unmarshal(b, &value))
	var root schema
	require.NoError(t, json.Unmarshal([]byte(load.Schema), &root))
	hold(t, &root, &root, "result", value)
}

func hold(t *testing.T, root, s *schema, path string, value any) {
	t.Helper()
	if name, ok := strings.CutPrefix(s.Ref, "#/$defs/"); ok {
		s = root.Definitions[name]
	}
	switch v := value.(type) {
	case map[string]any:
		require.Equal(t, "object", s.Type, path)
		if s.Properties == nil { // a map of numbers
			return
		}
		for name, field := range v {
			if assert.Contains(t, s.Properties, name, path) {
				hold(t, root, s.Properties[name], path+"."+name, field)
			}
		}
		for name := range s.Properties {
			assert.Contains(t, v, name, path)
		}
		for _, name := range s.Required {
			assert.Contains(t, s.Properties, name, path)
		}
	case []any:
		require.Equal(t, "array", s.Type, path)
		for _, item := range v {
			hold(t, root, s.Items, path+"[]", item)
		}
	case float64:
		if s.Type == "integer" {
			assert.Equal(t, v, float64(int64(v)), path)
		} else {
			assert.Equal(t, "number", s.Type, path)
		}
	case string:
		assert.Equal(t, "string", s.Type, path)
	case bool:
		assert.Equal(t, "boolean", s.Type, path)
	default:
		assert.Fail(t, "no value", path)
	}
}
