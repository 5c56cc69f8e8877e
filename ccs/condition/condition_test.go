package condition_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/condition"
)

func Example() {
	c, err := condition.Parse("'news' in topics && !('muted' in topics)")
	fmt.Println(c.Topics, err)
	fmt.Println(c.Holds(0b01), c.Holds(0b11))
	// Output:
	// [news muted] <nil>
	// true false
}

// holding lists the sets of topics for which a condition holds, by the first letters of the topics.
func holding(c *condition.Condition) (sets []string) {
	for of := range condition.Set(1) << len(c.Topics) {
		if c.Holds(of) {
			set := ""
			for i, name := range c.Topics {
				if of&(1<<i) != 0 {
					set += name[:1]
				}
			}
			sets = append(sets, set)
		}
	}
	return sets
}

// TOPICS 2.3: the grammar of conditions and its precedence.
func TestConditions(t *testing.T) {
	for _, c := range []struct {
		name, condition string
		holds           string // sets of topics
		mixed           bool
	}{
		{"one topic", "'a' in topics", "a", false},
		{"and", "'a' in topics && 'b' in topics", "ab", false},
		{"or", "'a' in topics || 'b' in topics", "a b ab", false},
		{"and binds before or, on the left", "'a' in topics && 'b' in topics || 'c' in topics", "ab c ac bc abc", false},
		{"and binds before or, on the right", "'a' in topics || 'b' in topics && 'c' in topics", "a ab ac bc abc", true},
		{"parentheses come first", "('a' in topics || 'b' in topics) && 'c' in topics", "ac bc abc", false},
		{"parentheses make it clear", "'a' in topics || ('b' in topics && 'c' in topics)", "a ab ac bc abc", false},
		{"not binds before and", "'a' in topics && !'b' in topics", "a", false},
		{"not of parentheses", "'a' in topics && !('b' in topics || 'c' in topics)", "a", false},
		{"not of not", "!!'a' in topics", "a", false},
		{"no white space", "('a'in topics)&&!('b'in topics)", "a", false},
		{"much white space", " \t( 'a'\nin\r\ntopics ) ", "a", false},
		{"double quotes", `"a" in topics && 'b' in topics`, "ab", false},
		{"keywords in any case, names in theirs", "'a' IN Topics && !'A' in TOPICS", "a", false},
		{"a topic twice", "'a' in topics && 'b' in topics || 'a' in topics", "a ab", false},
		{"five topics", "'a' in topics && 'b' in topics && 'c' in topics && 'd' in topics && 'e' in topics", "abcde", false},
		{"every character of names", "'a-Z_.~%09' in topics", "a", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := condition.Parse(c.condition)
			require.NoError(t, err)
			assert.Equal(t, c.holds, strings.Join(holding(got), " "))
			assert.Equal(t, c.mixed, got.Mixed)
		})
	}
}

func TestWhatIsNoCondition(t *testing.T) {
	for _, c := range []struct{ name, condition, err string }{
		{"nothing", "", "the name of a topic in quotes expected at position 0"},
		{"white space", "  ", "the name of a topic in quotes expected at position 2"},
		{"no quotes", "a in topics", "the name of a topic in quotes expected at position 0"},
		{"a quote that does not end", "'a in topics", "the quote does not end at position 0"},
		{"two kinds of quote", `'a" in topics`, "the quote does not end at position 0"},
		{"a name that is none", "'a b' in topics", "this is no name of a topic at position 0"},
		{"an empty name", "'' in topics", "this is no name of a topic at position 0"},
		{"a path", "'/topics/a' in topics", "this is no name of a topic at position 0"},
		{"no in", "'a' topics", "in expected at position 4"},
		{"no topics", "'a' in topic", "topics expected at position 7"},
		{"intopics", "'a' intopics", "white space expected at position 6"},
		{"one ampersand", "'a' in topics & 'b' in topics", "&& or || expected at position 14"},
		{"an operator without an operand", "'a' in topics &&", "the name of a topic in quotes expected at position 16"},
		{"an open parenthesis", "('a' in topics", ") expected at position 14"},
		{"a closed parenthesis", "'a' in topics)", "&& or || expected at position 13"},
		{"six topics", "'a' in topics || 'b' in topics || 'c' in topics || 'd' in topics || 'e' in topics || 'f' in topics", "more than 5 topics"},
		{"who is not subscribed", "!('a' in topics)", condition.ErrNobody.Error()},
		{"who is not subscribed, or is", "'a' in topics || !('b' in topics)", condition.ErrNobody.Error()},
		{"endless parentheses", strings.Repeat("(", 1000), "the condition is too long"},
		{"endless operands", "'a' in topics" + strings.Repeat(" || 'a' in topics", 100), "the condition is too long"},
		{"endless white space", strings.Repeat(" ", 10_000), "the condition is too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := condition.Parse(c.condition)
			require.EqualError(t, err, c.err)
		})
	}
}

// FuzzParse checks that Parse takes anything, and that what it takes means the same when it is
// written with all parentheses.
func FuzzParse(f *testing.F) {
	f.Add("'a' in topics && ('b' in topics || !(\"c\" in topics))")
	f.Add("!!('a'in topics)||'b' IN TOPICS&&'c' in topics")
	f.Add("((((")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := condition.Parse(s)
		if err != nil {
			return
		}
		require.NotEmpty(t, c.Topics)
		require.LessOrEqual(t, len(c.Topics), condition.MaxTopics)
		require.False(t, c.Holds(0))
		again, err := condition.Parse("((" + s + "))")
		if err != nil {
			return // too long or too deep
		}
		require.Equal(t, c.Topics, again.Topics)
		for of := range condition.Set(1) << len(c.Topics) {
			require.Equal(t, c.Holds(of), again.Holds(of))
		}
	})
}
