package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

	"bolwerk"
	"bolwerk/abuse/enforce/access"
	"bolwerk/abuse/enforce/allow"
	"bolwerk/abuse/enforce/rest"
	"bolwerk/internal/clock"
	"bolwerk/internal/terminal"
)

type abuseNAS struct {
	List  nasList  `cmd:"" help:"List the ways to the access network, and whether they are used."`
	Prove nasProve `cmd:"" help:"Put the canary session of a way into each profile and take it out again, now."`
}

type nasList struct{ socket }

// Run does it.
func (c *nasList) Run(ctx context.Context, t *terminal.Terminal) error {
	return ask(ctx, t, c.socket, http.MethodGet, "/abuse/nas", nil, func(w io.Writer, all struct{ Items []access.Proof }) {
		for _, p := range all.Items {
			printProof(w, p)
		}
		if len(all.Items) == 0 {
			fmt.Fprintln(w, "none: see abuse.enforce in the configuration")
		}
	})
}

type nasProve struct {
	socket
	Name string `arg:"" help:"Name of the access server or other way, as in abuse.enforce."`
}

// Run does it.
func (c *nasProve) Run(ctx context.Context, t *terminal.Terminal) error {
	return ask(ctx, t, c.socket, http.MethodPost, "/abuse/nas/prove", map[string]string{"name": c.Name}, printProof)
}

func printProof(w io.Writer, p access.Proof) {
	state, how := "used", "acknowledged, not looked at"
	if p.Seen {
		how = "seen"
	}
	if !p.OK {
		state, how = "not used", p.Step
		if p.Step == "" {
			how = "its proof is older than two days, or of other settings"
		}
	}
	at := "-"
	if !p.At.IsZero() {
		at = p.At.UTC().Format("2006-01-02 15:04 UTC")
	}
	timer := "no timer"
	if p.Timer {
		timer = "own timer"
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", terminal.Escape(p.NAS), p.Kind, state, at, timer, how, terminal.Escape(p.Code))
}

type abuseEnforce struct {
	Conform enforceConform `cmd:"" help:"Walk a policy manager through the HTTP contract, with a session of your own. Needs no desk."`
}

type enforceConform struct {
	URL          string        `arg:"" help:"Where the contract begins, such as https://pcrf.isp.example/bolwerk."`
	TokenFile    string        `help:"File with the bearer token." placeholder:"FILE" type:"path"`
	CertFile     string        `help:"Certificate that is shown, PEM." placeholder:"FILE" type:"path"`
	KeyFile      string        `help:"Its key." placeholder:"FILE" type:"path"`
	CAFile       string        `help:"Whose certificate the manager has, PEM. Default: the system's." placeholder:"FILE" type:"path"`
	AccessServer string        `help:"Access server of the session." required:"" placeholder:"NAME"`
	Session      string        `help:"Its name for the session." required:"" placeholder:"ID"`
	Subscriber   string        `help:"Whose session it is." required:"" placeholder:"NAME"`
	Prefix       netip.Prefix  `help:"Prefix of the session." placeholder:"PREFIX"`
	Timeout      time.Duration `help:"How long an answer may take." default:"5s" placeholder:"TIME"`
}

// Run does it.
func (c *enforceConform) Run(ctx context.Context, t *terminal.Terminal) error {
	p, err := rest.New(rest.Config{Name: "conform", URL: c.URL, TokenFile: c.TokenFile, CertFile: c.CertFile, KeyFile: c.KeyFile, CAFile: c.CAFile, Canary: c.Subscriber, Timeout: bolwerk.Duration(c.Timeout)}, clock.New())
	if err != nil {
		return err
	}
	s := rest.Session{AccessServer: c.AccessServer, ID: c.Session, Source: "radius", Subscriber: c.Subscriber, Prefixes: []netip.Prefix{}}
	if c.Prefix.IsValid() {
		s.Prefixes = append(s.Prefixes, c.Prefix)
	}
	return rest.Conform(ctx, p, s, func(k rest.Check) {
		if k.Err != nil {
			fmt.Fprintf(t.Out, "no   %s: %s\n", k.Promise, terminal.Escape(k.Err.Error()))
			return
		}
		fmt.Fprintf(t.Out, "yes  %s\n", k.Promise)
	})
}

type abuseAllow struct {
	Format string   `help:"table, nftables (a ruleset of both profiles) or dnsmasq (what fills its sets by name)." enum:"table,nftables,dnsmasq" default:"table" placeholder:"FORMAT"`
	Garden string   `help:"Address of the garden's page and resolver, for nftables." placeholder:"ADDRESS"`
	Own    []string `help:"Names of your own, as abuse.garden.allow." placeholder:"NAME"`
}

// Run does it.
func (c *abuseAllow) Run(t *terminal.Terminal) error {
	all := allow.Entries()
	if len(c.Own) > 0 {
		own, err := allow.Own(c.Own)
		if err != nil {
			return err
		}
		all = append(all[:len(all):len(all)], own)
	}
	if c.Format == allow.Table {
		return t.Table(func(w io.Writer) { allow.Print(w, all, allow.Table, "") })
	}
	return allow.Print(t.Out, all, c.Format, c.Garden)
}
