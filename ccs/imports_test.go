package ccs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/openccs/openccs"

// rule says what a package may import. Paths of this module are without its name. A pattern that
// ends in "/..." stands for everything below, and for the package before the slash.
type rule struct {
	packages []string // the rule is for these, except for those in but
	but      []string
	forbids  []string // none of these, except for those in allows
	allows   []string
	deep     bool // neither directly nor through others
	reason   string
}

const (
	ours     = module + "/..."
	external = "external" // neither of this module nor of the standard library
)

var endpoints = []string{"ccs/xmppserver/...", "ccs/mcsserver/...", "ccs/httpserver/..."}
var clients = []string{"ccs/ccsclient/...", "ccs/mcsclient/..."}

// importRules keep the packages in their order: imports go downwards only.
var importRules = []rule{
	{
		packages: []string{"store", "flowcontrol/...", "ccs/payload/...", "ccs/domains/..."},
		forbids:  []string{ours, external},
		deep:     true,
		reason:   "records, windows and message content are pure: they need nothing but the standard library",
	},
	{
		packages: []string{"stanza/..."},
		forbids:  []string{ours},
		allows:   []string{"stanza/...", "ccs/payload", "ccs/domains"},
		deep:     true,
		reason:   "the words of CCS do not know who speaks them",
	},
	{
		packages: []string{ours},
		but:      []string{"store/redisstore/..."},
		forbids:  []string{"store/redisstore/transport/..."},
		reason:   "how redisstore reaches Redis is its own affair",
	},
	{
		packages: []string{"ccs/condition/..."},
		forbids:  []string{ours, external},
		allows:   []string{"ccs/condition/...", "ccs/payload"},
		deep:     true,
		reason:   "a condition is a text that says whom it means",
	},
	{
		packages: []string{"store/..."},
		forbids:  []string{ours},
		allows:   []string{"store/..."},
		deep:     true,
		reason:   "a store remembers; it neither routes nor speaks",
	},
	{
		packages: []string{"ccs"},
		forbids:  []string{ours},
		allows:   []string{"store", "ccs/condition", "ccs/payload", "flowcontrol"},
		deep:     true,
		reason:   "the core decides for every endpoint and every store, so it knows none of them, and speaks no wire format such as stanza",
	},
	{
		packages: []string{"ccs/cluster/..."},
		forbids:  []string{ours},
		allows:   []string{"ccs/cluster/...", "store"},
		deep:     true,
		reason:   "what nodes do needs the steps that a store offers, whichever store and whatever is served from it",
	},
	{
		packages: []string{ours},
		but:      []string{"ccs/cluster/...", "ccs/server/..."},
		forbids:  []string{"ccs/cluster/..."},
		reason:   "the core and the endpoints do not know how nodes find each other: the assembly gives the router its cluster",
	},
	{
		packages: []string{"ccs/oauth/..."},
		forbids:  []string{ours},
		allows:   []string{"store"},
		deep:     true,
		reason:   "access tokens are taken by several endpoints and made by what manages projects: they need the records and nothing above",
	},
	{
		packages: []string{"ccs/mcs/..."},
		forbids:  []string{ours},
		allows:   []string{"ccs/mcs/..."},
		deep:     true,
		reason:   "the device wire format stands alone: client and server share it",
	},
	{
		packages: []string{"ccs/xmppserver/..."},
		forbids:  slices.Concat(endpoints, []string{"ccs/server/..."}),
		allows:   []string{"ccs/xmppserver/..."},
		deep:     true,
		reason:   "an endpoint translates; what it has to do with another goes through the router",
	},
	{
		packages: []string{"ccs/mcsserver/..."},
		forbids:  slices.Concat(endpoints, []string{"ccs/server/..."}),
		allows:   []string{"ccs/mcsserver/..."},
		deep:     true,
		reason:   "an endpoint translates; what it has to do with another goes through the router",
	},
	{
		packages: []string{"ccs/httpserver/..."},
		forbids:  slices.Concat(endpoints, []string{"ccs/server/..."}),
		allows:   []string{"ccs/httpserver/..."},
		deep:     true,
		reason:   "an endpoint translates; what it has to do with another goes through the router",
	},
	{
		packages: endpoints,
		forbids:  []string{"store/memstore/...", "store/diskstore/...", "store/redisstore/..."},
		deep:     true,
		reason:   "which store it is, is the assembly's choice",
	},
	{
		packages: clients,
		forbids:  slices.Concat([]string{"ccs", "ccs/server/...", "store/..."}, endpoints),
		deep:     true,
		reason:   "a client is what runs elsewhere: it knows the wire and nothing behind it",
	},
	{
		packages: []string{"ccs/load/..."},
		forbids:  slices.Concat([]string{"ccs", "ccs/server/...", "store/..."}, endpoints),
		deep:     true,
		reason:   "load can drive any CCS, so it is made of clients alone",
	},
	{
		packages: []string{ours},
		but:      []string{"cmd/...", "ccs/server/...", "ccs/ccstest/..."},
		forbids:  []string{"ccs/server/...", "ccs/ccstest/..."},
		reason:   "the assembly is the top: only commands and tests stand above it",
	},
	{
		packages: []string{ours},
		but:      []string{"cmd/...", "ccs/server/...", "ccs/ccstest/...", "ccs/devcert/...", "ccs/card/...", "ccs/admin/..."},
		forbids:  []string{"ccs/devcert/...", "ccs/card/...", "ccs/admin/..."},
		reason:   "how a server is set up and reached on its machine is no part of the protocol",
	},
	{
		packages: []string{"ccs/devcert/...", "ccs/card/...", "ccs/admin/..."},
		forbids:  []string{ours},
		allows:   []string{"ccs/devcert/...", "ccs/card/...", "ccs/admin/...", "ccs/oauth", "ccs/domains", "store"},
		deep:     true,
		reason:   "what stands beside the assembly must not hang on it",
	},
	{
		packages: []string{ours},
		but:      []string{"store/diskstore/..."},
		forbids:  []string{"github.com/cockroachdb/pebble/..."},
		reason:   "Pebble is diskstore's choice, to be changed in one place",
	},
	{
		packages: []string{ours},
		but:      []string{"store/redisstore/..."},
		forbids:  []string{"github.com/redis/..."},
		reason:   "the Redis client is redisstore's choice, to be changed in one place",
	},
	{
		packages: []string{ours},
		but:      []string{"stanza/...", "ccs/xmppserver/...", "ccs/ccsclient/..."},
		forbids:  []string{"mellium.im/..."},
		reason:   "XMPP is spoken by one endpoint and one client alone",
	},
	{
		packages: []string{"store/...", "stanza/...", "flowcontrol/..."},
		but:      []string{"store/diskstore/...", "store/redisstore/..."},
		forbids:  []string{"go.uber.org/zap/..."},
		reason:   "what is below ccs returns errors; logging begins at ccs",
	},
	{
		packages: []string{ours},
		but:      []string{"ccs/load/..."},
		forbids:  []string{"github.com/HdrHistogram/...", "github.com/wcharczuk/..."},
		reason:   "histograms and charts are the load tool's: a server that measures itself counts, and draws nothing",
	},
	{
		packages: []string{ours},
		but:      []string{"store/storetest/...", "store/redisstore/redistest/..."},
		forbids:  []string{"testing", "github.com/stretchr/testify/..."},
		reason:   "what is for tests has no place in a program",
	},
	{
		packages: []string{"ccs/ccstest/..."},
		forbids:  []string{"testing", "github.com/stretchr/..."},
		deep:     true,
		reason:   "users of ccstest choose their own test library, and may start a server outside of a test",
	},
	{
		packages: []string{"ccs/clock/..."},
		forbids:  []string{ours},
		allows:   []string{"ccs/clock/..."},
		deep:     true,
		reason:   "a clock tells the time; the core asks it",
	},
	{
		packages: []string{ours},
		but:      []string{"cmd/...", "ccs/server/...", "ccs/ccstest/..."},
		forbids:  []string{"ccs/clock/..."},
		reason:   "which clock it is, is the assembly's choice",
	},
}

// node is a package in the import graph. Test files do not count; they may import any package.
type node struct {
	ImportPath string
	Standard   bool
	Imports    []string
}

type graph map[string]node

func TestImportsGoDownwardsOnly(t *testing.T) {
	for _, broken := range check(load(t), importRules) {
		t.Error(broken)
	}
}

// check returns the violations, one line each.
func check(g graph, rules []rule) []string {
	var broken []string
	for path := range g {
		if !g.matches(path, ours) {
			continue
		}
		for _, r := range rules {
			if !g.matchesAny(path, r.packages) || g.matchesAny(path, r.but) {
				continue
			}
			for _, chain := range g.chains(path, r.deep) {
				target := chain[len(chain)-1]
				if target != path && g.matchesAny(target, r.forbids) && !g.matchesAny(target, r.allows) {
					broken = append(broken, fmt.Sprintf("%s: %s", strings.Join(chain, " -> "), r.reason))
				}
			}
		}
	}
	slices.Sort(broken)
	return broken
}

// chains lists a shortest way to each package that path imports, or, if deep, depends on.
func (g graph) chains(path string, deep bool) [][]string {
	var found [][]string
	seen := map[string]bool{path: true}
	for queue := [][]string{{path}}; len(queue) > 0; queue = queue[1:] {
		chain := queue[0]
		for _, next := range g[chain[len(chain)-1]].Imports {
			if seen[next] {
				continue
			}
			seen[next] = true
			longer := append(slices.Clone(chain), next)
			found = append(found, longer)
			// The imports of our dependencies do not matter.
			if deep && g.matches(next, ours) {
				queue = append(queue, longer)
			}
		}
	}
	return found
}

func (g graph) matchesAny(path string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return g.matches(path, p) })
}

func (g graph) matches(path, pattern string) bool {
	if pattern == external {
		return !g[path].Standard && !g.matches(path, ours)
	}
	root, below := strings.CutSuffix(pattern, "/...")
	for _, want := range []string{root, module + "/" + root} {
		if path == want || below && strings.HasPrefix(path, want+"/") {
			return true
		}
	}
	return false
}

// load gets the imports of all packages of the module from the go command.
func load(t *testing.T) graph {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Standard,Imports", module+"/...")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("%s: %v\n%s", cmd, err, exit.Stderr)
	}
	require.NoError(t, err)
	g := graph{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var n node
		err := d.Decode(&n)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		g[n.ImportPath] = n
	}
	require.Contains(t, g, module+"/store", "the module is in the graph")
	return g
}

func TestTheCheckItself(t *testing.T) {
	tests := []struct {
		name    string
		imports map[string][]string
		broken  []string // the beginning of each line
	}{
		{
			name: "the order as it should be",
			imports: map[string][]string{
				"github.com/openccs/openccs/cmd/ccs":         {"github.com/openccs/openccs/ccs/server", "github.com/openccs/openccs/ccs/ccsclient", "github.com/openccs/openccs/ccs/card"},
				"github.com/openccs/openccs/ccs/server":      {"github.com/openccs/openccs/ccs/xmppserver", "github.com/openccs/openccs/ccs/mcsserver", "github.com/openccs/openccs/store/diskstore"},
				"github.com/openccs/openccs/ccs/xmppserver":  {"github.com/openccs/openccs/ccs", "mellium.im/sasl"},
				"github.com/openccs/openccs/ccs/mcsserver":   {"github.com/openccs/openccs/ccs", "github.com/openccs/openccs/ccs/mcs", "go.uber.org/zap"},
				"github.com/openccs/openccs/ccs/ccsclient":   {"github.com/openccs/openccs/stanza", "mellium.im/sasl"},
				"github.com/openccs/openccs/ccs":             {"github.com/openccs/openccs/store", "github.com/openccs/openccs/ccs/payload", "github.com/openccs/openccs/flowcontrol", "go.uber.org/zap"},
				"github.com/openccs/openccs/store/diskstore": {"github.com/openccs/openccs/store", "github.com/cockroachdb/pebble/v2"},
				"github.com/openccs/openccs/store":           {"context"},
			},
		},
		{
			name:    "an endpoint imports another",
			imports: map[string][]string{"github.com/openccs/openccs/ccs/mcsserver": {"github.com/openccs/openccs/ccs/httpserver"}},
			broken:  []string{"github.com/openccs/openccs/ccs/mcsserver -> " + module + "/ccs/httpserver: "},
		},
		{
			name: "a client reaches the core through another package",
			imports: map[string][]string{
				"github.com/openccs/openccs/ccs/mcsclient": {"github.com/openccs/openccs/helper"},
				"github.com/openccs/openccs/helper":        {"github.com/openccs/openccs/ccs"},
			},
			broken: []string{"github.com/openccs/openccs/ccs/mcsclient -> github.com/openccs/openccs/helper -> " + module + "/ccs: "},
		},
		{
			name:    "store needs somebody else's code",
			imports: map[string][]string{"github.com/openccs/openccs/store": {"go.uber.org/zap"}},
			broken: []string{
				// Two rules say so.
				"github.com/openccs/openccs/store -> go.uber.org/zap: records, windows",
				"github.com/openccs/openccs/store -> go.uber.org/zap: what is below",
			},
		},
		{
			name:    "flowcontrol needs ours",
			imports: map[string][]string{"github.com/openccs/openccs/flowcontrol": {"github.com/openccs/openccs/stanza"}},
			broken:  []string{"github.com/openccs/openccs/flowcontrol -> " + module + "/stanza: "},
		},
		{
			name:    "Pebble outside diskstore",
			imports: map[string][]string{"github.com/openccs/openccs/cmd/ccs": {"github.com/cockroachdb/pebble/v2/vfs"}},
			broken:  []string{"github.com/openccs/openccs/cmd/ccs -> github.com/cockroachdb/pebble/v2/vfs: "},
		},
		{
			name:    "mellium in the core",
			imports: map[string][]string{"github.com/openccs/openccs/ccs": {"mellium.im/xmpp/jid"}},
			broken:  []string{"github.com/openccs/openccs/ccs -> mellium.im/xmpp/jid: "},
		},
		{
			name:    "the core speaks XMPP",
			imports: map[string][]string{"github.com/openccs/openccs/ccs": {"github.com/openccs/openccs/stanza"}},
			broken:  []string{"github.com/openccs/openccs/ccs -> " + module + "/stanza: "},
		},
		{
			name:    "the core picks a store",
			imports: map[string][]string{"github.com/openccs/openccs/ccs": {"github.com/openccs/openccs/store/memstore"}},
			broken:  []string{"github.com/openccs/openccs/ccs -> " + module + "/store/memstore: "},
		},
		{
			name: "what nodes do reaches for the core, and the core for it",
			imports: map[string][]string{
				"github.com/openccs/openccs/ccs":         {"github.com/openccs/openccs/ccs/cluster"},
				"github.com/openccs/openccs/ccs/cluster": {"github.com/openccs/openccs/ccs"},
			},
			broken: []string{
				// Two rules say so.
				"github.com/openccs/openccs/ccs -> " + module + "/ccs/cluster: the core and",
				"github.com/openccs/openccs/ccs -> " + module + "/ccs/cluster: the core decides",
				"github.com/openccs/openccs/ccs/cluster -> " + module + "/ccs: what nodes do",
			},
		},
		{
			name:    "an endpoint reads the card",
			imports: map[string][]string{"github.com/openccs/openccs/ccs/httpserver": {"github.com/openccs/openccs/ccs/card"}},
			broken:  []string{"github.com/openccs/openccs/ccs/httpserver -> " + module + "/ccs/card: "},
		},
		{
			name:    "a name that only begins like a forbidden one is another package",
			imports: map[string][]string{"github.com/openccs/openccs/ccs/mcsclient": {"github.com/openccs/openccs/ccs/mcs", "github.com/openccs/openccs/storefront"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := graph{"context": {ImportPath: "context", Standard: true}}
			for path, imports := range tt.imports {
				g[path] = node{ImportPath: path, Imports: imports}
			}
			got := check(g, importRules)
			require.Len(t, got, len(tt.broken), "%q", got)
			for i, want := range tt.broken {
				assert.True(t, strings.HasPrefix(got[i], want), "%q does not begin with %q", got[i], want)
			}
		})
	}
}

func TestEveryRuleHasAReason(t *testing.T) {
	for _, r := range importRules {
		assert.NotEmpty(t, r.reason, "%v", r.forbids)
	}
}
