package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// These are the exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitMissed = 3 // a load threshold was missed
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals // a second signal ends the process at once
		os.Exit(exitFailed)
	}()
	os.Exit(run(ctx, os.Args[0], os.Args[1:], os.Stdout, os.Stderr))
}

// cli is the command line.
type cli struct {
	Config configFlag `placeholder:"FILE" help:"YAML file with settings. Its keys are flag names without the dashes. Default: none."`

	Serve   serveCmd   `cmd:"" help:"Server for app servers and devices."`
	Project projectCmd `cmd:"" help:"Projects: sender IDs, API keys and limits."`
	Topics  topicsCmd  `cmd:"" help:"Topics: subscribers and messages in progress."`
	Groups  groupsCmd  `cmd:"" help:"Device groups and their notification keys."`
	Device  deviceCmd  `cmd:"" help:"Test device: registers, prints received messages, sends upstream."`
	Send    sendCmd    `cmd:"" help:"Test app server: sends messages to a device."`
	Listen  listenCmd  `cmd:"" help:"Test app server: prints and acknowledges messages of devices."`
	Drain   drainCmd   `cmd:"" help:"Connection draining of app servers."`
	Load    loadCmd    `cmd:"" help:"Load test with many app servers and devices."`
	Store   storeCmd   `cmd:"" help:"Stores: copy, verify and repair."`
	Version versionCmd `cmd:"" help:"Version of ccs."`
}

// run is the whole program. It returns the exit code when the command ends, or soon after ctx ends.
// program is the name under which the user called it.
func run(ctx context.Context, program string, args []string, stdout, stderr io.Writer) int {
	out := &output{program: program, stdout: stdout, stderr: stderr}
	var c cli
	helped := false
	parser, err := newParser(&c,
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { helped = true }), // only --help ends the parser
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(out),
	)
	if err != nil {
		return out.fail(err)
	}
	command, err := parser.Parse(args)
	switch {
	case helped:
		return exitDone
	case err != nil:
		return out.fail(parseError(err))
	}
	return out.fail(command.Run())
}

func newParser(c *cli, options ...kong.Option) (*kong.Kong, error) {
	return kong.New(c, append([]kong.Option{
		kong.Name("ccs"),
		kong.Description("A server wire-compatible with the Cloud Connection Server of Google Cloud Messaging, and clients to try it with."),
		kong.DefaultEnvars("CCS"),
		serveDefaults(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.ValueFormatter(describe),
	}, options...)...)
}

// describe returns the help of a flag with its default and its environment variable.
func describe(v *kong.Value) string {
	help := v.Help
	if v.HasDefault && v.Default != "" {
		help += " Default: " + v.Default + "."
	}
	for _, env := range v.Tag.Envs {
		help += " [$" + env + "]"
	}
	return help
}

// parseError turns an error of kong into a usage error with a hint to the help.
func parseError(err error) error {
	command := "ccs"
	var pe *kong.ParseError
	if errors.As(err, &pe) && pe.Context != nil && pe.Context.Selected() != nil {
		command = pe.Context.Selected().FullPath()
	}
	return &usageError{err: err, hint: command + " --help shows what there is"}
}
