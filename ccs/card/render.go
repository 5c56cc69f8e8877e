package card

import (
	"io"
	"strings"
)

// RenderOptions are the options of Render.
type RenderOptions struct {
	Program string   // name of the program in the printed commands, such as "bin/ccs"
	Flags   []string // flags of the printed commands, such as "--data", "/srv/ccs"
	Path    string   // the file that has the card
	ShowKey bool     // print the key; only where a person reads the output
}

// Render writes the card and three commands to try next, for people. It prints the key only if the
// key is new and ShowKey is set, because output in a pipe ends up in logs.
func (c *Card) Render(w io.Writer, o RenderOptions) error {
	command := func(args ...string) string {
		line := append([]string{o.Program}, strings.Fields(args[0])...)
		line = append(line, quoteAll(o.Flags)...)
		return strings.Join(append(line, args[1:]...), " ")
	}
	sender, key := c.SenderID, "in "+Quote(o.Path)
	switch {
	case sender == "":
		sender, key = "none on this card; see: "+command("project list")+"; or: "+command("project create"), ""
	case c.APIKey == "":
		key = "none on this card; add one with: " + command("project key add", sender)
	case c.NewKey && o.ShowKey:
		key = c.APIKey
	}
	var b strings.Builder
	b.WriteString("Connection card\n\n")
	for _, row := range [][2]string{
		{"App servers (XMPP)", c.XMPP},
		{"  for tests", c.XMPPTest},
		{"Devices (MCS)", c.MCS},
		{"HTTP (send, check-in)", c.HTTP},
		{"Sender ID", sender},
		{"API key", key},
		{"CA file", c.CAFile},
	} {
		if row[1] == "" {
			continue
		}
		b.WriteString("  " + row[0] + strings.Repeat(" ", 28-len(row[0])) + row[1] + "\n")
	}
	b.WriteString("\nIn a second terminal:\n\n")
	for _, line := range []string{command("device"), command("send", "TOKEN key=value"), command("listen"), c.curl()} {
		b.WriteString("  " + line + "\n")
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// curl returns a command that sends a message over HTTP.
func (c *Card) curl() string {
	line := "curl "
	if c.CAFile != "" {
		line += "--cacert " + Quote(c.CAFile) + " "
	}
	return line + "-H 'Authorization: key=KEY' -d registration_id=TOKEN -d data.key=value " + c.HTTP + "/gcm/send"
}

func quoteAll(words []string) []string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = Quote(word)
	}
	return quoted
}

// Quote returns the word in a form that is safe to paste into a shell.
func Quote(word string) string {
	safe := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_./:=@%+,", r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !safe(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
