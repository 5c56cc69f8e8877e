package main

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Names of the rules, as in complies.txt.
const (
	ruleColumns = "columns" // a comment line has at most maxColumns
	ruleCaller  = "caller"  // "The caller must hold x.mu." in exactly these words
	ruleKeys    = "keys"    // log keys come from logKeys
	// An error message in the log says what failed. An error value does not say "failed to".
	ruleErrors = "errors"
	ruleWords  = "words" // words that style.md §11 forbids
)

var rules = []string{ruleColumns, ruleCaller, ruleKeys, ruleErrors, ruleWords}

const (
	maxColumns = 100
	tabColumns = 4
)

// logKeys are the keys of log fields: those of style.md §8.
var logKeys = []string{
	// Parties and places.
	"sender", "senders", "device", "app", "project", "conn", "listener", "remote_addr", "door", "node", "queue", "entry",
	"message_id", "token", "store", "file", "path",
	// Why and how.
	"reason", "code", "kind", "type", "status", "outcome", "mechanism", "key_id", "policy", "durability", "write_error",
	"enrolled", "delete", "connected", "logged_in",
	// Times and limits.
	"took", "wait", "limit", "window",
	// Counts, by what is counted, and sizes.
	"messages", "accepted", "refused", "delivered", "received", "receipts", "unanswered", "unacked", "listed", "hidden",
	"calls", "topics", "copies", "dropped", "devices", "registrations", "queues", "replicas", "connections", "addresses", "per_address",
	"per_address_pending", "open_files", "reserved_files", "bytes", "max_bytes",
	// Addresses of servers.
	"xmpp", "xmpp_test", "mcs", "http", "redis",
}

var (
	// held matches the required wording for a lock. Any other match of lock is a wrong wording.
	held = regexp.MustCompile(`\bThe caller must hold [a-zA-Z_]+(\.[a-zA-Z_]+)+([.,]| and )`)
	lock = regexp.MustCompile(`(?i)to be called with [^.]* held|called with [a-z_.]*(mu|lock)[a-z ]* held|` +
		`\b[a-z]+\.mu is held|callers? (must|has to|have to) hold|callers? holds?\b`)

	words = regexp.MustCompile(`(?i)\b(whoever|wherever|anew|meanwhile|is to be|are to be)\b|(?:^|[.;:] )(Who|What) [a-z]+s? `)
)

// finding is a violation of a rule.
type finding struct {
	pkg, rule, text string
	pos             token.Position
}

// check lists the violations in a file.
func check(pkg string, files *token.FileSet, file *ast.File) (all []finding) {
	report := func(rule string, pos token.Pos, text string) {
		all = append(all, finding{pkg: pkg, rule: rule, text: text, pos: files.Position(pos)})
	}
	for _, group := range file.Comments {
		checkComment(files, group, report)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			checkCall(call, report)
		}
		return true
	})
	return all
}

type reporter func(rule string, pos token.Pos, text string)

func checkComment(files *token.FileSet, group *ast.CommentGroup, report reporter) {
	for _, c := range group.List {
		at := files.Position(c.Pos())
		if strings.HasPrefix(c.Text, "//go:") || strings.HasPrefix(c.Text, "// \t") || strings.HasPrefix(c.Text, "//\t") {
			continue // a directive, or preformatted text
		}
		// Leading tabs are one byte each and tabColumns wide. A comment after code counts with its
		// code.
		columns := at.Column - 1 + utf8.RuneCountInString(c.Text)
		if startsLine(files, group) {
			columns += (at.Column - 1) * (tabColumns - 1)
		}
		if columns > maxColumns {
			report(ruleColumns, c.Pos(), strconv.Itoa(columns)+" columns")
		}
	}
	text := strings.Join(strings.Fields(group.Text()), " ")
	if lock.MatchString(text) && !held.MatchString(text) {
		report(ruleCaller, group.Pos(), `write "The caller must hold x.mu."`)
	}
	if m := words.FindString(text); m != "" {
		report(ruleWords, group.Pos(), strings.TrimSpace(m))
	}
}

// startsLine reports whether a line has only white space before a comment. Go code is never in the
// first column after white space only, so the column of such a comment is its number of tabs plus
// one.
func startsLine(files *token.FileSet, group *ast.CommentGroup) bool {
	return files.Position(group.Pos()).Column <= 8
}

func checkCall(call *ast.CallExpr, report reporter) {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 {
		return
	}
	literal, isText := call.Args[0].(*ast.BasicLit)
	if !isText || literal.Kind != token.STRING {
		return
	}
	text, err := strconv.Unquote(literal.Value)
	if err != nil {
		return
	}
	of, _ := f.X.(*ast.Ident)
	switch {
	case of != nil && of.Name == "zap" && len(call.Args) == 2 && !contains(logKeys, text):
		report(ruleKeys, literal.Pos(), strconv.Quote(text)+" is not a log key")
	case isLogger(f.X) && f.Sel.Name == "Error" && !strings.Contains(text, "failed"):
		report(ruleErrors, literal.Pos(), "an error message in the log says what failed")
	case of != nil && (of.Name == "fmt" && f.Sel.Name == "Errorf" || of.Name == "errors" && f.Sel.Name == "New") &&
		strings.HasPrefix(text, "failed to"):
		report(ruleErrors, literal.Pos(), `an error says what was being done: "claim %s: %w", without "failed to"`)
	}
}

// isLogger reports whether an expression looks like a logger: log, s.log, s.logger().
func isLogger(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return strings.HasPrefix(strings.ToLower(x.Name), "log")
	case *ast.SelectorExpr:
		return isLogger(x.Sel)
	case *ast.CallExpr:
		return isLogger(x.Fun)
	}
	return false
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
