package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/app"
	"bolwerk/internal/hosts"
	"bolwerk/internal/join"
	"bolwerk/internal/terminal"
	"bolwerk/shield"
	"bolwerk/shield/reading"
)

// socket is what every command of the admin socket takes.
type socket struct {
	Data string `help:"Folder of the desk. File access to its admin socket is the right to do this." default:"${data}" type:"path" placeholder:"DIR"`
	JSON bool   `help:"Print JSON for programs."`
}

// ask asks the desk and prints its answer.
func ask[T any](ctx context.Context, t *terminal.Terminal, s socket, method, path string, in any, people func(w io.Writer, v T)) error {
	var v T
	if err := app.AdminCall(ctx, s.Data, method, path, in, &v); err != nil {
		return err
	}
	if s.JSON {
		return t.JSON(v)
	}
	return t.Table(func(w io.Writer) { people(w, v) })
}

type hostCmd struct {
	Add    hostAdd    `cmd:"" help:"Print the line with which a machine joins, once."`
	List   hostList   `cmd:"" help:"List the hosts."`
	Revoke hostRevoke `cmd:"" help:"End a host's access within 60 seconds."`
}

type hostAdd struct {
	socket
	Name string    `arg:"" help:"Name of the host: a to z, digits, hyphen."`
	Role join.Role `help:"edge, intake, probe, agent or relay." enum:"edge,intake,probe,agent,relay" required:"" placeholder:"ROLE"`
}

// Run does it.
func (c *hostAdd) Run(ctx context.Context, t *terminal.Terminal) error {
	type line struct {
		Line string `json:"line"`
	}
	return ask(ctx, t, c.socket, http.MethodPost, "/host/add", map[string]string{"name": c.Name, "role": string(c.Role)}, func(w io.Writer, v line) {
		fmt.Fprintf(w, "on %s, once:\nbolwerk join %s\n", terminal.Escape(c.Name), v.Line)
	})
}

type hostList struct{ socket }

// Run does it.
func (c *hostList) Run(ctx context.Context, t *terminal.Terminal) error {
	type list struct {
		Items []hosts.Host `json:"items"`
	}
	return ask(ctx, t, c.socket, http.MethodGet, "/hosts", nil, func(w io.Writer, v list) {
		fmt.Fprintln(w, "NAME\tROLE\tSTATE\tJOINED")
		for _, h := range v.Items {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", terminal.Escape(h.Name), h.Role, h.State, h.JoinedAt.UTC().Format("2006-01-02 15:04 UTC"))
		}
	})
}

type hostRevoke struct {
	socket
	Name string `arg:"" help:"Name of the host."`
}

// Run does it.
func (c *hostRevoke) Run(ctx context.Context, t *terminal.Terminal) error {
	return ask(ctx, t, c.socket, http.MethodPost, "/host/revoke", map[string]string{"name": c.Name}, func(w io.Writer, _ state) {
		fmt.Fprintf(w, "%s is revoked\n", terminal.Escape(c.Name))
	})
}

type state struct {
	State string `json:"state"`
}

type joinCmd struct {
	role
	Line string `arg:"" help:"The line that \"host add\" printed."`
}

// Run does it.
func (c *joinCmd) Run(ctx context.Context, t *terminal.Terminal) error {
	h, err := app.JoinHost(ctx, c.Config, c.Line, app.NewEnv(c.log(t.Err)))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.Out, "this machine is %s %s of %s; start it with: bolwerk %s\n", h.Role(), h.Name(), terminal.Escape(h.Operator()), h.Role())
	return err
}

type auditCmd struct {
	Verify auditVerify `cmd:"" help:"Walk the whole trail, and compare it with what an edge has seen."`
}

type auditVerify struct {
	Data    string `help:"Folder of the desk." default:"${data}" type:"path" placeholder:"DIR"`
	Against string `help:"Folder of an edge: its heads prove that the trail was not rewritten." type:"path" placeholder:"DIR"`
}

// Run does it.
func (c *auditVerify) Run(ctx context.Context, t *terminal.Terminal) error {
	return app.AuditVerify(ctx, c.Data, c.Against, t.Out)
}

// stored says where the store is.
type stored struct {
	Config string `help:"Configuration file of the desk. Default: /etc/bolwerk/bolwerk.toml where no demo is." short:"c" type:"path" placeholder:"FILE" xor:"where"`
	Data   string `help:"Folder of the desk, where it runs without a configuration file." type:"path" placeholder:"DIR" xor:"where"`
}

func (s stored) config() (app.Config, error) {
	if s.Config == "" && s.Data == "" && !exists(shield.DemoFolder) && exists(installedConfig) {
		s.Config = installedConfig
	}
	cfg, err := app.Read(s.Config)
	if s.Config == "" {
		cfg.Data = s.Data
		if cfg.Data == "" {
			cfg.Data = shield.DemoFolder
		}
		cfg.Store.URL = filepath.Join(cfg.Data, "desk", "bolwerk.db")
		if _, missing := os.Stat(cfg.Store.URL); err == nil && missing != nil {
			err = bolwerk.WithHint(bolwerk.NotFound("no store at %s", cfg.Store.URL), "name the desk's folder with --data, or its configuration with --config")
		}
	}
	return cfg, err
}

// octets shows how far a step is.
func octets(t *terminal.Terminal) app.Begin {
	return func(step string, n int64) (func(int64), func()) {
		p := t.Progress(step, n).Bytes()
		return p.Add, p.Done
	}
}

type backupCmd struct {
	File string `arg:"" help:"New file to write." type:"path"`
	stored
}

// Run does it.
func (c *backupCmd) Run(ctx context.Context, t *terminal.Terminal) error {
	cfg, err := c.config()
	if err != nil {
		return err
	}
	if err := app.Backup(ctx, cfg, c.File, octets(t)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.Out, "%s is written; keep %s in another place: the backup is unreadable without it\n", terminal.Escape(c.File), terminal.Escape(filepath.Join(cfg.Data, "desk", "keys")))
	return err
}

type restoreCmd struct {
	File     string `arg:"" optional:"" help:"Backup to put in the place of the store. The desk must not run." type:"path"`
	Prepared bool   `help:"The store was brought back by other means, as PostgreSQL is: begin again from there. The desk must not run."`
	Show     bool   `help:"Show what a restore holds back until a person has looked at it."`
	Release  bool   `help:"Publish what is held back and let parked mails go: you have looked at it."`
	JSON     bool   `help:"Print JSON for programs."`
	stored
}

// Validate wants one of the four.
func (c *restoreCmd) Validate() error {
	n := 0
	for _, given := range []bool{c.File != "", c.Prepared, c.Show, c.Release} {
		if given {
			n++
		}
	}
	if n != 1 {
		return fmt.Errorf("want one of FILE, --prepared, --show and --release")
	}
	return nil
}

// Run does it.
func (c *restoreCmd) Run(ctx context.Context, t *terminal.Terminal) error {
	cfg, err := c.config()
	if err != nil {
		return err
	}
	s := socket{Data: cfg.Data, JSON: c.JSON}
	switch {
	case c.Show:
		type view struct {
			State string    `json:"state"`
			Since time.Time `json:"since,omitzero"`
			Items []struct {
				ID    string `json:"id"`
				State string `json:"state"`
				Name  string `json:"name"`
			} `json:"items"`
			Jobs int64 `json:"jobs_parked"`
		}
		return ask(ctx, t, s, http.MethodGet, "/restore", nil, func(w io.Writer, v view) {
			fmt.Fprintf(w, "restore\t%s\njobs parked\t%d\n", v.State, v.Jobs)
			for _, i := range v.Items {
				fmt.Fprintf(w, "%s\t%s\t%s\n", i.State, terminal.Escape(i.Name), i.ID)
			}
		})
	case c.Release:
		type released struct {
			State     string `json:"state"`
			Published int    `json:"published"`
			Jobs      int64  `json:"jobs"`
		}
		return ask(ctx, t, s, http.MethodPost, "/restore/release", nil, func(w io.Writer, v released) {
			fmt.Fprintf(w, "released: %d entries are published, %d jobs go on\n", v.Published, v.Jobs)
		})
	}
	if c.Prepared {
		err = app.Prepared(ctx, cfg)
	} else {
		err = app.Restore(ctx, cfg, c.File, octets(t))
	}
	if err != nil {
		return err
	}
	missing, err := app.MissingKeys(ctx, cfg)
	if err != nil {
		return err
	}
	for _, k := range missing {
		fmt.Fprintf(t.Out, "no key %s in %s\n", k, terminal.Escape(filepath.Join(cfg.Data, "desk", "keys")))
	}
	if len(missing) > 0 {
		fmt.Fprintln(t.Out, "what these keys sealed cannot be read: where a key's time is not over, bring it from the copy of the keys before you start the desk")
	}
	_, err = fmt.Fprintln(t.Out, "restored; start the desk, then look: bolwerk restore --show")
	return err
}

type replayCmd struct {
	socket
	Since  string `help:"Begin of what is handed in again; hosts keep 48 hours. Default: all." placeholder:"TIME"`
	Follow bool   `help:"Tell how far the hosts are until each has given all; a host hears of it within a minute."`
}

// Run does it.
func (c *replayCmd) Run(ctx context.Context, t *terminal.Terminal) error {
	var since time.Time
	if c.Since != "" {
		var err error
		if since, err = time.Parse(time.RFC3339, c.Since); err != nil {
			return bolwerk.WithHint(bolwerk.Invalid("--since %q is no time", c.Since), "such as 2026-11-30T12:00:00Z")
		}
	}
	if !c.Follow {
		return ask(ctx, t, c.socket, http.MethodPost, "/replay", map[string]time.Time{"since": since}, func(w io.Writer, _ state) {
			fmt.Fprintln(w, "every host is asked to hand in again; what is known already changes nothing")
		})
	}
	var asked state
	if err := app.AdminCall(ctx, c.Data, http.MethodPost, "/replay", map[string]time.Time{"since": since}, &asked); err != nil {
		return err
	}
	p := t.Progress("handed in again", 0)
	defer p.Done()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for told := int64(0); ; {
		var far replayFar
		if err := app.AdminCall(ctx, c.Data, http.MethodGet, "/replay", nil, &far); err != nil {
			return err
		}
		items, open := far.sum()
		p.Add(items - told)
		if told = items; len(open) == 0 {
			p.Done()
			if c.JSON {
				return t.JSON(far)
			}
			_, err := fmt.Fprintf(t.Out, "%d hosts have handed in again: %s items\n", len(far.Hosts), terminal.Count(items))
			return err
		}
		select {
		case <-ctx.Done():
			return bolwerk.WithHint(fmt.Errorf("replay: not done by %s: %w", strings.Join(open, ", "), ctx.Err()), "it goes on without this command; a host that is away begins when it is back")
		case <-tick.C:
		}
	}
}

// replayFar is how far the hosts are.
type replayFar struct {
	Hosts []hosts.Replayed `json:"hosts"`
}

// sum is how many items all have given, and who has not given all.
func (f replayFar) sum() (items int64, open []string) {
	for _, h := range f.Hosts {
		if items += h.Items; !h.Done {
			open = append(open, terminal.Escape(h.Host))
		}
	}
	return items, open
}

type readCmd struct {
	Files []string `arg:"" name:"file" help:"Mails or texts; - is standard input."`
	JSON  bool     `help:"Print one line of JSON for each file."`
}

// Run does it.
func (c *readCmd) Run(t *terminal.Terminal) error { return reading.Command(c.Files, c.JSON, t.Out) }

// version is set by releases: -ldflags "-X bolwerk/internal/cli.version=1.2.3".
var version string

type versionCmd struct {
	JSON bool `help:"Print JSON for programs."`
}

// Run does it.
func (c *versionCmd) Run(t *terminal.Terminal) error {
	v := struct {
		Version  string `json:"version"`
		Revision string `json:"revision,omitempty"`
		Go       string `json:"go"`
		Platform string `json:"platform"`
	}{version, "", runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		if v.Version == "" {
			v.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Revision = s.Value
			}
		}
	}
	if v.Version == "" {
		v.Version = "(devel)"
	}
	if c.JSON {
		return t.JSON(v)
	}
	if len(v.Revision) > 12 {
		v.Revision = " " + v.Revision[:12]
	}
	_, err := fmt.Fprintf(t.Out, "bolwerk %s%s %s %s\n", v.Version, v.Revision, v.Go, v.Platform)
	return err
}
