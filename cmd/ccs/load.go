package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/ccs/card"
	"github.com/openccs/openccs/ccs/load"
)

// loadCmd is the load testing tool.
type loadCmd struct {
	Run    loadRunCmd    `cmd:"" default:"withargs" help:"Load test at full speed or at a rate, with an exact count of lost and duplicated messages; run may be left out."`
	Diff   loadDiffCmd   `cmd:"" help:"Comparison of two runs."`
	Schema loadSchemaCmd `cmd:"" help:"JSON schema of the result of a run."`
}

type loadRunCmd struct {
	appServerFlags
	MCS         string `name:"mcs" placeholder:"HOST:PORT" help:"MCS address for devices. This and --xmpp take several addresses, separated by commas, used in turn. Default: the address on the connection card."`
	HTTP        string `name:"http" placeholder:"URL" help:"URL for check-in and registration of devices. Default: the URL on the connection card."`
	Credentials string `placeholder:"FILE" help:"YAML or JSON list of sender_id and api_key, for --senders. Default: load-senders.json in the data directory, with projects made for it."`
	DevicesFile string `placeholder:"FILE" help:"File with the devices, kept for the next run. Default: load-devices.json in the data directory."`
	Own         bool   `name:"i-own-this-server" help:"Permission to load a server that is not on this machine. Default: only this machine."`

	load.Plan

	Expect   string `placeholder:"LIST" help:"Thresholds for the result, such as 'ack.p99<10ms,lost=0': numbers of the JSON by their path. Exit code 3 if one is missed. Default: none."`
	JSON     bool   `help:"Output as one JSON object. Default: text."`
	HTML     string `name:"html" placeholder:"FILE" help:"HTML file for a report with charts, self-contained. Default: none."`
	HDRLog   string `name:"hdr-log" placeholder:"FILE" help:"File for an HdrHistogram log of the latencies. Default: none."`
	LogLevel string `default:"warn" enum:"debug,info,warn,error" placeholder:"LEVEL" help:"Minimum log level: debug, info, warn or error."`
}

// Help returns the long help with examples.
func (loadRunCmd) Help() string {
	return `Acts as app servers and devices at once. Every payload is numbered, so that lost, duplicated and late messages
are counted exactly, even if the server is killed during the run. Without --rate each connection keeps
--in-flight messages unanswered; with it messages are due at that rate, and latency counts from then.

Examples:

    ccs load run
    ccs load --connections 10 --devices 100 --duration 1m --html report.html
    ccs load --rate 20000 --json --expect 'ack.p99<10ms,lost=0'
    ccs load --devices 10000 --upstream 500 --receipts 10 --storm mass-offline
    ccs load --xmpp push.example.org:5235 --mcs push.example.org:5228 --http https://push.example.org --ca ca.pem --sender 123456789012 --key AIza… --i-own-this-server
`
}

// Validate reports flags that no run can satisfy.
func (c *loadRunCmd) Validate() error { return c.Plan.Validate() }

// Run puts the server under load and reports the result.
func (c *loadRunCmd) Run(ctx context.Context, out *output) error {
	var expected []load.Expectation
	if c.Expect != "" {
		var err error
		if expected, err = load.ParseExpectations(c.Expect); err != nil {
			return &usageError{err: fmt.Errorf("--expect: %w", err)}
		}
	}
	target, options, err := c.target(ctx)
	if err != nil {
		return err
	}
	if !c.Own {
		if err := target.CheckLoopback(ctx); errors.Is(err, load.ErrNotLoopback) {
			return &usageError{err: err, hint: "load harms: if the server is yours, say --i-own-this-server"}
		} else if err != nil {
			return err
		}
	}
	if options.Logger, err = newLogger(out, c.LogLevel, "auto"); err != nil {
		return err
	}
	if err := checkWritable(options.DevicesFile); err != nil {
		return fmt.Errorf("--devices-file: %w", err)
	}
	reports, err := c.reports(out)
	if err != nil {
		return err
	}
	options.Reporters = append(reports.list, c.last(out))
	result, err := load.Run(ctx, c.Plan, *target, *options)
	if err = errors.Join(err, reports.discard()); err != nil {
		return explainDial(err, c.Data)
	}
	return c.gate(out, expected, result)
}

// gate compares a result with the thresholds.
func (c *loadRunCmd) gate(out *output, expected []load.Expectation, result *load.Result) error {
	missed := false
	for _, e := range expected {
		if miss := e.Miss(result); miss != "" {
			out.note("missed: %s", miss)
			missed = true
		}
	}
	if missed {
		return errMissed
	}
	return nil
}

// target returns the target of the load, from the flags and the connection card.
func (c *loadRunCmd) target(ctx context.Context) (*load.Target, *load.Options, error) {
	options := &load.Options{DevicesFile: c.DevicesFile}
	needed := map[string]string{"--http": c.HTTP, "--xmpp": c.XMPP}
	if c.DeviceProtocol == load.ProtocolMCS {
		needed["--mcs"] = c.MCS
	}
	k, err := needCard(c.Data, needed)
	if err != nil {
		return nil, nil, err
	}
	here := c.XMPP == "" || c.XMPP == card.DialAddr(k.XMPP) // the server of the data directory
	if c.Credentials == "" || here {
		if err := c.resolve(); err != nil {
			return nil, nil, err
		}
	}
	fill(&c.MCS, card.DialAddr(k.MCS))
	fill(&c.HTTP, k.HTTP)
	target := &load.Target{XMPP: strings.Split(c.XMPP, ","), HTTP: c.HTTP}
	if c.DeviceProtocol == load.ProtocolMCS {
		target.MCS = strings.Split(c.MCS, ",")
	}
	if target.TLS, err = clientTLS(c.CA); err != nil {
		return nil, nil, err
	}
	var local *admin.Client
	if here {
		fill(&options.DevicesFile, filepath.Join(c.Data, "load-devices.json"))
		if local, err = admin.Dial(c.Data); err == nil {
			defer local.Close()
			if local.PID() != os.Getpid() {
				options.ServerPID = local.PID()
			}
			options.Drain = func(ctx context.Context) error { return drainAll(ctx, c.Data) }
		}
	}
	target.Senders, err = c.senders(ctx, local)
	return target, options, err
}

// drainAll makes the server of a data directory drain every connection.
func drainAll(ctx context.Context, dir string) error {
	client, err := admin.Dial(dir)
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = client.Drain(ctx, "", "")
	return err
}
