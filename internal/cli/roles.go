package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"bolwerk"
	"bolwerk/internal/app"
	"bolwerk/internal/dnsserve"
	"bolwerk/internal/terminal"
	"bolwerk/shield/edge"
)

// logging is how a role tells what it does: on standard error.
type logging struct {
	LogLevel  slog.Level `help:"debug, info, warn or error." default:"info" placeholder:"LEVEL"`
	LogFormat string     `help:"text or json." enum:"text,json" default:"text" placeholder:"FORMAT"`
}

func (l logging) log(w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: l.LogLevel}
	if l.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// role is what every role takes.
type role struct {
	Config string `help:"Configuration file. Default: what \"bolwerk config\" prints." short:"c" placeholder:"FILE" type:"path"`
	logging
}

func (r role) run(ctx context.Context, t *terminal.Terminal, name string) error {
	return ended(ctx, app.Run(ctx, name, r.Config, app.NewEnv(r.log(t.Err)), t.Out))
}

// ended makes nothing of the end that was asked for.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

type allCmd struct{ role }

// Run does it.
func (c *allCmd) Run(ctx context.Context, t *terminal.Terminal) error { return c.run(ctx, t, "all") }

type deskCmd struct{ role }

// Run does it.
func (c *deskCmd) Run(ctx context.Context, t *terminal.Terminal) error { return c.run(ctx, t, "desk") }

type intakeCmd struct{ role }

// Run does it.
func (c *intakeCmd) Run(ctx context.Context, t *terminal.Terminal) error {
	return c.run(ctx, t, "intake")
}

type probeCmd struct{ role }

// Run does it.
func (c *probeCmd) Run(ctx context.Context, t *terminal.Terminal) error {
	return c.run(ctx, t, "probe")
}

type agentCmd struct{ role }

// Run does it.
func (c *agentCmd) Run(ctx context.Context, t *terminal.Terminal) error {
	return c.run(ctx, t, "agent")
}

type relayCmd struct{ role }

// Run does it.
func (c *relayCmd) Run(ctx context.Context, t *terminal.Terminal) error {
	return c.run(ctx, t, "relay")
}

type edgeCmd struct {
	Serve edgeServe `cmd:"" default:"withargs" help:"Serve customers: DNS, warning page, TLS door."`
	Pass  edgePass  `cmd:"" help:"Let a name pass at this edge for 24 h, also without the desk; the desk hears of it afterwards."`
	Check edgeCheck `cmd:"" help:"Tell whether customers should come to this edge, for who announces its address: exit 0 if so."`
	DNR   edgeDNR   `cmd:"" help:"Print the options by which DHCP and router advertisements name this edge's DNS over TLS and HTTPS (DNR, RFC 9463)."`
}

type edgeCheck struct {
	Serving bool   `help:"Exit 0 also while another edge would be better: questions are answered."`
	Config  string `help:"Configuration file of the edge." short:"c" placeholder:"FILE" type:"path"`
	Data    string `help:"Folder of the edge's machine, instead of a configuration." placeholder:"DIR" type:"path"`
}

// Run does it.
func (c *edgeCheck) Run(ctx context.Context, t *terminal.Terminal) error {
	r, err := app.EdgeCheck(ctx, c.Config, c.Data, c.Serving)
	if err == nil {
		fmt.Fprintln(t.Out, r.State)
	}
	return err
}

type edgeDNR struct {
	Config string `help:"Configuration file of the edge." short:"c" placeholder:"FILE" type:"path"`
}

// Run does it.
func (c *edgeDNR) Run(t *terminal.Terminal) error {
	cfg, err := app.Read(c.Config)
	if err != nil {
		return err
	}
	return dnsserve.WriteDNR(t.Out, cfg.DNS.Config)
}

type edgePass struct {
	Name   string `arg:"" help:"The name that is to pass."`
	Config string `help:"Configuration file of the edge." short:"c" placeholder:"FILE" type:"path"`
	Data   string `help:"Folder of the edge's machine, instead of a configuration." placeholder:"DIR" type:"path"`
}

// Run does it.
func (c *edgePass) Run(ctx context.Context, t *terminal.Terminal) error {
	name, until, err := app.EdgePass(ctx, c.Config, c.Data, c.Name)
	if err == nil {
		fmt.Fprintf(t.Out, "%s passes at this edge until %s\n", name, until.UTC().Format("2006-01-02 15:04 UTC"))
	}
	return err
}

type edgeServe struct {
	role
	Names    string `help:"Stand alone: block the names in this file, one on a line, and all below; - is standard input." placeholder:"FILE" group:"Without a desk"`
	Listen   string `help:"With --names: where to answer." placeholder:"ADDR" group:"Without a desk"`
	Upstream string `help:"With --names: resolver for all other names." placeholder:"ADDR" group:"Without a desk"`
	Answer   string `help:"With --names: address that blocked names get, or nxdomain. Default: 192.0.2.1." placeholder:"ADDR|nxdomain" group:"Without a desk"`
}

// Validate says what does not go together.
func (c *edgeServe) Validate() error {
	switch {
	case c.Names == "" && (c.Listen != "" || c.Upstream != "" || c.Answer != ""):
		return errors.New("--listen, --upstream and --answer go with --names FILE; a joined edge is configured with --config")
	case c.Names != "" && (c.Listen == "" || c.Upstream == ""):
		return errors.New("--names needs --listen ADDR and --upstream ADDR")
	case c.Names != "" && c.Config != "":
		return errors.New("--names stands alone: leave --config out")
	}
	return nil
}

// Run does it.
func (c *edgeServe) Run(ctx context.Context, t *terminal.Terminal) error {
	if c.Names == "" {
		return c.run(ctx, t, "edge")
	}
	in := t.In
	if c.Names != "-" {
		f, err := os.Open(c.Names)
		if err != nil {
			return bolwerk.WithHint(bolwerk.NotFound("%v", err), "a file with one name on a line; - is standard input")
		}
		defer f.Close()
		in = f
	}
	return ended(ctx, edge.RunNames(ctx, edge.Names{List: in, Listen: c.Listen, Upstream: c.Upstream, Answer: c.Answer, Log: c.log(t.Err),
		Ready: func(string) { fmt.Fprintln(t.Out, "ready") }}))
}

type demoCmd struct {
	Data       string `help:"Folder of the demo. What a demo left there is emptied at start." default:"bolwerk-demo" type:"path" placeholder:"DIR"`
	Keep       bool   `help:"Continue what is in the folder, or begin."`
	PortOffset int    `help:"Added to every port." default:"0" placeholder:"N"`
	logging
}

// Validate bounds the ports.
func (c *demoCmd) Validate() error {
	if c.PortOffset < -2524 || c.PortOffset > 57000 {
		return fmt.Errorf("--port-offset %d: want -2524 to 57000", c.PortOffset)
	}
	return nil
}

// Run does it.
func (c *demoCmd) Run(ctx context.Context, t *terminal.Terminal) error {
	return ended(ctx, app.Demo(ctx, app.DemoOptions{Data: c.Data, Keep: c.Keep, Offset: c.PortOffset, Out: t.Out, Binary: os.Args[0]}, app.NewEnv(c.log(t.Err))))
}

type checkCmd struct {
	File string `arg:"" help:"Configuration file." type:"path"`
}

// Run does it.
func (c *checkCmd) Run(t *terminal.Terminal) error { return app.Check(c.File, t.Out) }

type configCmd struct {
	File string `arg:"" optional:"" help:"Configuration file. Without: the defaults." type:"path"`
}

// Run does it.
func (c *configCmd) Run(t *terminal.Terminal) error { return app.Print(c.File, t.Out) }
