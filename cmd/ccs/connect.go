package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/openccs/openccs/ccs/card"
)

// defaultData is the default data directory of every command.
const defaultData = "data"

// dataFlag is the data directory of a command.
type dataFlag struct {
	Data string `default:"${data}" placeholder:"DIR" help:"Data directory of the server."`
}

// again returns the flags with which another command uses the same data directory.
func (f dataFlag) again() []string {
	if f.Data == defaultData {
		return nil
	}
	return []string{"--data", f.Data}
}

// appServerFlags say how an app server reaches ccs. The connection card has the values of missing
// flags.
type appServerFlags struct {
	dataFlag
	XMPP   string `name:"xmpp" placeholder:"HOST:PORT" help:"XMPP address of the server. Default: the address on the connection card in the data directory."`
	CA     string `name:"ca" placeholder:"FILE" help:"PEM file with the CA to trust. Default: the CA on the connection card."`
	Sender string `placeholder:"ID" help:"Sender ID. Default: the sender ID on the connection card."`
	Key    string `placeholder:"KEY" help:"API key of the sender. Default: the key on the connection card."`
}

// resolve fills in the missing values.
func (f *appServerFlags) resolve() error {
	c, err := needCard(f.Data, map[string]string{"--xmpp": f.XMPP, "--sender": f.Sender, "--key": f.Key})
	if err != nil {
		return err
	}
	if f.CA == "" && (f.XMPP == "" || f.XMPP == card.DialAddr(c.XMPP)) {
		f.CA = c.CAFile
	}
	if f.Key == "" && f.Sender != "" && f.Sender != c.SenderID {
		return &usageError{
			err:  fmt.Errorf("--sender %s: its key is not on the connection card", f.Sender),
			hint: "give its API key with --key",
		}
	}
	fill(&f.XMPP, card.DialAddr(c.XMPP))
	fill(&f.Sender, c.SenderID)
	fill(&f.Key, c.APIKey)
	if f.Sender == "" {
		return noProject("no sender ID")
	}
	if f.Key == "" {
		return noProject("no API key of sender " + f.Sender)
	}
	return nil
}

// noProject returns the error of a command whose credentials the connection card lacks.
func noProject(what string) error {
	return &hintedError{
		err:  errors.New("the connection card has " + what),
		hint: "give --sender and --key; ccs project list shows the projects, ccs project create and ccs project key add make a key",
	}
}

// needCard reads the connection card of a data directory. Without a card all flags are required.
func needCard(dir string, flags map[string]string) (*card.Card, error) {
	c, err := card.Read(dir)
	if err == nil {
		return c, nil
	}
	var missing []string
	for name, value := range flags {
		if value == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return &card.Card{}, nil
	}
	slices.Sort(missing)
	return nil, &hintedError{err: err, hint: "start the server with: " + serveCommand(dir) + "; or give " + strings.Join(missing, ", ")}
}

func serveCommand(dir string) string {
	if dir == defaultData {
		return "ccs serve"
	}
	return "ccs serve --data " + dir
}

func fill(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

// clientTLS returns a TLS configuration that trusts the CA in a file, or the CAs of the system.
func clientTLS(caFile string) (*tls.Config, error) {
	if caFile == "" {
		return &tls.Config{}, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca %s: no certificate in it: give a PEM file", caFile)
	}
	return &tls.Config{RootCAs: pool}, nil
}

// explainDial adds the most common reason to the error of a connect.
func explainDial(err error, dir string) error {
	var unknown x509.UnknownAuthorityError
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return &hintedError{err: err, hint: "is the server running? start it with: " + serveCommand(dir)}
	case errors.As(err, &unknown):
		return &hintedError{err: err, hint: "give the server's CA with --ca FILE; it is on the connection card"}
	case errors.As(err, &dns):
		return &hintedError{err: err, hint: "is the host name right?"}
	}
	return err
}

// parsePairs parses key=value words. It refuses a repeated key.
func parsePairs(words []string) (map[string]string, error) {
	pairs := make(map[string]string, len(words))
	for _, word := range words {
		key, value, ok := strings.Cut(word, "=")
		if !ok || key == "" {
			return nil, &usageError{err: fmt.Errorf("%q is no key=value", word), hint: "quote it if the value has spaces: 'text=two words'"}
		}
		if _, twice := pairs[key]; twice {
			return nil, &usageError{err: fmt.Errorf("key %q is given twice", key)}
		}
		pairs[key] = value
	}
	return pairs, nil
}
