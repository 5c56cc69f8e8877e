package condition

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/openccs/openccs/ccs/payload"
)

// MaxTopics is the number of different topics in a condition (TOPICS 7).
const MaxTopics = 5

// Bounds of a condition, so that nobody makes the server work for one that selects nothing.
const (
	maxLength   = MaxTopics*payload.MaxTopicName + 1024
	maxOperands = 64
	maxDepth    = 64 // open parentheses
)

// The errors of Parse, besides syntax errors.
var (
	ErrTooManyTopics = fmt.Errorf("more than %d topics", MaxTopics)
	// ErrNobody says that the condition holds for those who are subscribed to none of its topics.
	ErrNobody = errors.New("the condition does not require a subscription")

	errTooLong = errors.New("the condition is too long")
)

// Set is a set of topics of one condition. Bit i stands for Condition.Topics[i].
type Set uint8

// Condition is a parsed condition.
type Condition struct {
	// Topics are the topics that the condition names, each once, in the order of their first use.
	Topics []string
	// Mixed reports whether "a || b && c" occurs without parentheses. The documentation of the
	// protocol would evaluate that from left to right, and this package does not (TOPICS 2.3).
	Mixed bool

	program []op // in postfix order
}

// op is an operation: an operand by its index, or an operator.
type op int8

const (
	opNot op = -1 - iota
	opAnd
	opOr
)

// Holds reports whether the condition holds for a subscriber of the topics in the set.
func (c *Condition) Holds(of Set) bool {
	var stack [2*maxOperands + 1]bool
	n := 0
	for _, o := range c.program {
		switch o {
		case opNot:
			stack[n-1] = !stack[n-1]
		case opAnd:
			n--
			stack[n-1] = stack[n-1] && stack[n]
		case opOr:
			n--
			stack[n-1] = stack[n-1] || stack[n]
		default:
			stack[n] = of&(1<<o) != 0
			n++
		}
	}
	return stack[0]
}

// Parse parses a condition. The operators bind as they do in C: "!", then "&&", then "||".
func Parse(s string) (*Condition, error) {
	if len(s) > maxLength {
		return nil, errTooLong
	}
	p := parser{rest: s, length: len(s), c: &Condition{}}
	if err := p.or(); err != nil {
		return nil, err
	}
	if p.space(); p.rest != "" {
		return nil, p.wrong("&& or || expected")
	}
	if p.c.Holds(0) {
		return nil, ErrNobody
	}
	return p.c, nil
}

// parser parses by recursive descent. The methods leave the program of what they parsed.
type parser struct {
	rest     string
	length   int
	depth    int
	operands int
	c        *Condition
}

func (p *parser) wrong(text string) error {
	return fmt.Errorf("%s at position %d", text, p.length-len(p.rest))
}

func (p *parser) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

// take skips white space and then a token, if it is next.
func (p *parser) take(token string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.rest, token)
	p.rest = rest
	return ok
}

// word skips white space and then a word in any case, if it is next.
func (p *parser) word(w string) bool {
	p.space()
	if len(p.rest) < len(w) || !strings.EqualFold(p.rest[:len(w)], w) {
		return false
	}
	p.rest = p.rest[len(w):]
	return true
}

func (p *parser) or() error {
	_, err := p.and()
	for err == nil && p.take("||") {
		var factors int
		factors, err = p.and()
		p.c.Mixed = p.c.Mixed || factors > 1
		p.c.program = append(p.c.program, opOr)
	}
	return err
}

// and returns the number of its factors.
func (p *parser) and() (factors int, err error) {
	err = p.not()
	for factors = 1; err == nil && p.take("&&"); factors++ {
		err = p.not()
		p.c.program = append(p.c.program, opAnd)
	}
	return factors, err
}

func (p *parser) not() error {
	negated := false
	for p.take("!") {
		negated = !negated
	}
	var err error
	if p.take("(") {
		if p.depth++; p.depth > maxDepth {
			return errTooLong
		}
		if err = p.or(); err == nil && !p.take(")") {
			err = p.wrong(") expected")
		}
		p.depth--
	} else {
		err = p.topic()
	}
	if negated {
		p.c.program = append(p.c.program, opNot)
	}
	return err
}

// topic parses 'NAME' in topics.
func (p *parser) topic() error {
	if p.operands++; p.operands > maxOperands {
		return errTooLong
	}
	p.space()
	if p.rest == "" || p.rest[0] != '\'' && p.rest[0] != '"' {
		return p.wrong("the name of a topic in quotes expected")
	}
	quote := p.rest[:1]
	name, rest, ok := strings.Cut(p.rest[1:], quote)
	if !ok {
		return p.wrong("the quote does not end")
	}
	if !payload.ValidTopicName(name) {
		return p.wrong("this is no name of a topic")
	}
	p.rest = rest
	if p.space(); !p.word("in") {
		return p.wrong("in expected")
	}
	if p.rest != "" && strings.IndexByte(" \t\r\n", p.rest[0]) < 0 {
		return p.wrong("white space expected")
	}
	if !p.word("topics") {
		return p.wrong("topics expected")
	}
	i := slices.Index(p.c.Topics, name)
	if i < 0 {
		if i = len(p.c.Topics); i == MaxTopics {
			return ErrTooManyTopics
		}
		p.c.Topics = append(p.c.Topics, strings.Clone(name))
	}
	p.c.program = append(p.c.program, op(i))
	return nil
}
