package card

import (
	"io"
	"strings"
)

// Render writes the card for people, and the three commands to try next. program and flags are how
// the reader calls the client commands, such as "bin/ccs" and "--data /srv/ccs". What it writes is plain
// text, the same on a terminal and in a pipe.
func (c *Card) Render(w io.Writer, program string, flags ...string) error {
	var b strings.Builder
	b.WriteString("Connection card\n\n")
	for _, row := range [][2]string{
		{"App servers (XMPP)", c.XMPP},
		{"  for tests", c.XMPPTest},
		{"Devices (MCS)", c.MCS},
		{"Check-in and registration", c.HTTP},
		{"Sender ID", c.SenderID},
		{"API key", c.APIKey},
		{"CA file", c.CAFile},
	} {
		if row[1] == "" {
			continue
		}
		b.WriteString("  " + row[0] + strings.Repeat(" ", 28-len(row[0])) + row[1] + "\n")
	}
	b.WriteString("\nIn a second terminal:\n\n")
	for _, args := range []string{"device", "send TOKEN key=value", "listen"} {
		name, rest, _ := strings.Cut(args, " ")
		line := append([]string{program, name}, quoteAll(flags)...)
		if rest != "" {
			line = append(line, rest)
		}
		b.WriteString("  " + strings.Join(line, " ") + "\n")
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func quoteAll(words []string) []string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = quote(word)
	}
	return quoted
}

// quote makes a word safe to paste into a shell.
func quote(word string) string {
	safe := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_./:=@%+,", r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !safe(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
