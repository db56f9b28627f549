package shield

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/disk"
	"bolwerk/internal/openlog"
	"bolwerk/internal/openlog/check"
	"bolwerk/internal/terminal"
)

// LogCmd is "bolwerk log".
type LogCmd struct {
	Key      logKey      `cmd:"" help:"Print the public key of the transparency log."`
	Show     logShow     `cmd:"" help:"Show what the log says about a block, with proofs."`
	Openings logOpenings `cmd:"" help:"List what opens the names in the log, for \"log verify --openings\"."`
	Forget   logForget   `cmd:"" help:"Erase a name from the log, for ever. Its leaf stays."`
	Verify   logVerify   `cmd:"" help:"Check a log from outside: signature, that it only grew, and a zone against it. Needs no desk."`
}

type logKey struct{ desktop }

// Run does it.
func (c *logKey) Run(ctx context.Context, t *terminal.Terminal) error {
	return show(ctx, t, &c.desktop, http.MethodGet, "/log", nil, func(w io.Writer, v LogHead) { fmt.Fprintln(w, terminal.Escape(v.Key)) })
}

type logShow struct {
	desktop
	ID string `arg:"" help:"Id, number (B-2026-000001) or name."`
}

// Run does it.
func (c *logShow) Run(ctx context.Context, t *terminal.Terminal) error {
	return show(ctx, t, &c.desktop, http.MethodGet, "/log/leaves/"+url.PathEscape(c.ID), nil, func(w io.Writer, v LogView) {
		fmt.Fprintf(w, "%s\t%s\n", terminal.Escape(v.Ref), named(v.Name))
		for _, e := range v.Entries {
			name := "no name"
			if l, err := openlog.ParseLeaf([]byte(e.Leaf)); err == nil && l.Name != "" {
				name = "its name is forgotten"
				if salt, err := hex.DecodeString(e.Salt); err == nil && l.Opens(salt, v.Name) {
					name = "opens to " + named(v.Name)
				}
			}
			fmt.Fprintf(w, "leaf %d\t%s\n\t%s; proof of %d hashes\n", e.Index, terminal.Escape(e.Leaf), name, len(e.Proof))
		}
	})
}

type logOpenings struct{ desktop }

// Run does it.
func (c *logOpenings) Run(ctx context.Context, t *terminal.Terminal) error {
	return list(ctx, t, &c.desktop, "/log/openings", nil, nil, func(w io.Writer, all []Opening) {
		for _, o := range all {
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", o.Index, o.ID, o.State, named(o.Name), o.Salt)
		}
		count(w, len(all), "name", "names")
	})
}

type logForget struct {
	desktop
	ID     string `arg:"" help:"Id or number (B-2026-000001) of a block that has ended."`
	Reason string `help:"Why, in a few words; kept in the audit trail." required:"" placeholder:"TEXT"`
}

// Run does it.
func (c *logForget) Run(ctx context.Context, t *terminal.Terminal) error {
	type done struct{ ID, Name string }
	return show(ctx, t, &c.desktop, http.MethodPost, "/log/leaves/"+url.PathEscape(c.ID)+"/forget", because{Reason: c.Reason}, func(w io.Writer, v done) {
		fmt.Fprintf(w, "%s is erased from the log; the leaf of %s stays\n", named(v.Name), terminal.Escape(v.ID))
	})
}

type logVerify struct {
	URL       string `help:"Address of the public site." required:"" placeholder:"URL"`
	Key       string `help:"Public key of the log, as the operator publishes it; or a file with it. Without one the site's own is taken, which proves less." placeholder:"KEY"`
	State     string `help:"File that remembers the last head: the log must have grown from it." type:"path" placeholder:"FILE"`
	Zone      string `help:"Policy zone to compare, in master file format; - is standard input. Or its name, with --axfr." placeholder:"FILE|NAME"`
	AXFR      string `help:"Transfer the zone from this server, address:port." placeholder:"SERVER"`
	KeyName   string `help:"Name of the TSIG key for --axfr." placeholder:"NAME"`
	KeyFile   string `help:"File with its secret in base64." type:"path" placeholder:"FILE"`
	Algorithm string `help:"Its algorithm." default:"hmac-sha256" enum:"hmac-sha256,hmac-sha384,hmac-sha512"`
	Openings  string `help:"What \"log openings --json\" printed, for a zone with too many names to ask for each." type:"path" placeholder:"FILE"`
	JSON      bool   `help:"Print JSON for programs."`
}

// Verified is what came of a check of a log.
type Verified struct {
	State  string          `json:"state"` // verified
	Origin string          `json:"origin"`
	Size   int64           `json:"size"`
	Epoch  int64           `json:"epoch"`
	At     time.Time       `json:"at"`
	Before *int64          `json:"grew_from,omitempty"`
	Zone   *check.Compared `json:"zone,omitempty"`
}

// Run does it.
func (c *logVerify) Run(ctx context.Context, t *terminal.Terminal) error {
	client := &http.Client{Timeout: clientWait}
	key, err := c.key(ctx, t, client)
	if err != nil {
		return err
	}
	log, err := check.New(c.URL, key, client)
	if err != nil {
		return err
	}
	head, signed, err := log.Head(ctx)
	if err != nil {
		return err
	}
	v := Verified{State: "verified", Origin: head.Origin, Size: head.Size, Epoch: head.Epoch, At: head.At}
	if c.State != "" {
		if v.Before, err = grown(ctx, log, head, c.State); err != nil {
			return err
		}
	}
	if c.Zone != "" {
		if v.Zone, err = c.compare(ctx, t, log, head); err != nil {
			return err
		}
	}
	if c.State != "" {
		if err := disk.Write(c.State, signed, "log.state"); err != nil {
			return err
		}
	}
	if c.JSON {
		err = t.JSON(v)
	} else {
		err = t.Table(func(w io.Writer) { v.print(w) })
	}
	if err == nil && v.Zone != nil && len(v.Zone.Differences) > 0 {
		err = bolwerk.WithHint(bolwerk.Conflict("zone and log differ in %d places", len(v.Zone.Differences)), "a resolver that has just transferred may be ahead of the site by some seconds: ask again; docs/understand/transparency-log.md says what else it can be")
	}
	return err
}

func (c *logVerify) key(ctx context.Context, t *terminal.Terminal, client *http.Client) (string, error) {
	if c.Key == "" {
		key, err := check.FetchKey(ctx, c.URL, client)
		if err == nil {
			fmt.Fprintf(t.Err, "warning: the key is the site's own word; compare it with what the operator publishes elsewhere, then give it with --key\n")
		}
		return key, err
	}
	if strings.Count(c.Key, "+") >= 2 {
		return c.Key, nil
	}
	b, err := disk.Read(disk.System{}, c.Key, maxTokenFile)
	return strings.TrimSpace(string(b)), err
}

// grown compares with the head that a file remembers; nil is the first time.
func grown(ctx context.Context, log *check.Log, now openlog.Head, file string) (*int64, error) {
	b, err := disk.Read(disk.System{}, file, openlog.MaxHead)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	old, err := log.Open(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &old.Size, log.Follows(ctx, old, now)
}

func (c *logVerify) compare(ctx context.Context, t *terminal.Terminal, log *check.Log, head openlog.Head) (*check.Compared, error) {
	zone, err := c.zone(ctx, t)
	if err != nil {
		return nil, err
	}
	open := log.Site
	if c.Openings != "" {
		if open, err = readOpenings(c.Openings); err != nil {
			return nil, err
		}
	}
	got, err := log.Compare(ctx, head, zone, open)
	return &got, err
}

func (c *logVerify) zone(ctx context.Context, t *terminal.Terminal) (*check.Zone, error) {
	if c.AXFR != "" {
		var key *check.Key
		if c.KeyName != "" {
			secret, err := disk.Read(disk.System{}, c.KeyFile, maxTokenFile)
			if err != nil {
				return nil, err
			}
			key = &check.Key{Name: c.KeyName, Algorithm: c.Algorithm, Secret: strings.TrimSpace(string(secret))}
		}
		return check.Transfer(ctx, c.AXFR, c.Zone, key)
	}
	if c.Zone == "-" {
		return check.ReadZone(t.In, "standard input")
	}
	f, err := os.Open(c.Zone)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return check.ReadZone(f, c.Zone)
}

// readOpenings reads what "log openings --json" printed. Nothing in it is
// believed: each salt must open its leaf.
func readOpenings(path string) (check.Opener, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all struct{ Items []Opening }
	if err := json.NewDecoder(f).Decode(&all); err != nil {
		return nil, bolwerk.WithHint(bolwerk.Invalid("%s: not what \"log openings --json\" prints", path), "bolwerk log openings --json > FILE")
	}
	by := map[string][]check.Opening{}
	for _, o := range all.Items {
		salt, err := hex.DecodeString(o.Salt)
		if err != nil {
			return nil, bolwerk.Invalid("%s: the salt of %s is not hex", path, o.ID)
		}
		by[o.Name] = append(by[o.Name], check.Opening{Index: o.Index, Salt: salt})
	}
	return func(_ context.Context, name string) ([]check.Opening, error) { return by[name], nil }, nil
}

func (v Verified) print(w io.Writer) {
	fmt.Fprintf(w, "log\t%s\n", terminal.Escape(v.Origin))
	fmt.Fprintf(w, "head\t%d leaves, epoch %d, signed %s\n", v.Size, v.Epoch, at(v.At))
	if v.Before != nil {
		fmt.Fprintf(w, "grew\tfrom %d leaves, nothing changed before\n", *v.Before)
	}
	z := v.Zone
	if z == nil {
		return
	}
	fmt.Fprintf(w, "zone\t%s, serial %d: %d names, %d in force in the log", terminal.Escape(z.Zone), z.Serial, z.Names, z.InForce)
	if z.Undone > 0 {
		fmt.Fprintf(w, ", %d let pass after a withdrawal", z.Undone)
	}
	fmt.Fprintln(w)
	for i, d := range z.Differences {
		if i == 100 {
			fmt.Fprintf(w, "\tand %d more: --json lists all\n", len(z.Differences)-i)
			break
		}
		fmt.Fprintf(w, "%s\t%s: %s\n", strings.ReplaceAll(d.State, "_", " "), terminal.Escape(d.Name), d.What)
	}
	if len(z.Differences) == 0 {
		fmt.Fprintln(w, "equal\tzone and log say the same")
	}
}
