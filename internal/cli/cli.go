// Package cli is the command line: its grammar, hints after errors, and exit
// codes. What a capability's verbs do is in the capability.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"bolwerk"
	"bolwerk/abuse"
	"bolwerk/internal/account"
	"bolwerk/internal/app"
	"bolwerk/internal/terminal"
	"bolwerk/shield"
	"bolwerk/shield/reading"
)

// The exit codes. A command has done all of it, or refuses with a reason.
const (
	Done    = 0
	Refused = 1
	Usage   = 2
)

// grammar is every command there is.
type grammar struct {
	All    allCmd    `cmd:"" group:"Roles" help:"Run desk, intake and edge in one process."`
	Desk   deskCmd   `cmd:"" group:"Roles" help:"Run the desk: console, API, database, RPZ primary."`
	Intake intakeCmd `cmd:"" group:"Roles" help:"Run an intake: SMTP, public site, report API."`
	Probe  probeCmd  `cmd:"" group:"Roles" help:"Run a probe: visits suspect pages. It listens nowhere."`
	Edge   edgeCmd   `cmd:"" group:"Roles" help:"Run an edge: DNS and warning page. With --names it needs no desk."`
	Agent  agentCmd  `cmd:"" group:"Roles" help:"Run an agent beside a BIND, Unbound, PowerDNS Recursor or dnsdist: blocks there, and counts."`
	Relay  relayCmd  `cmd:"" group:"Roles" help:"Run a relay: hands the copies of edges on to edges, where there are many."`
	Demo   demoCmd   `cmd:"" group:"Roles" help:"Run everything on loopback with an invented operator."`

	Check  checkCmd  `cmd:"" group:"Set up" help:"Check a configuration; tells every problem at once."`
	Config configCmd `cmd:"" group:"Set up" help:"Print the configuration in force, secrets masked."`
	DKIM   dkimCmd   `cmd:"" name:"dkim" group:"Set up" help:"Make a key that signs mails, and print its DNS record. Needs no desk."`

	User  account.UserCmd  `cmd:"" group:"Set up" help:"Invite, list, reset and disable people of the desk."`
	Token account.TokenCmd `cmd:"" group:"Set up" help:"Create, list and revoke API tokens."`
	Host  hostCmd          `cmd:"" group:"Set up" help:"Add, list and revoke edges, intakes, probes, agents and relays."`
	Join  joinCmd          `cmd:"" group:"Set up" help:"Join this machine with the line that \"host add\" printed."`

	Case     shield.CaseCmd     `cmd:"" group:"Desk" help:"List, show, confirm, reject and replay cases."`
	Block    shield.BlockCmd    `cmd:"" group:"Desk" help:"List, add, withdraw and explain blocks."`
	Exempt   shield.ExemptCmd   `cmd:"" group:"Desk" help:"List, add and remove exemptions."`
	Order    shield.OrderCmd    `cmd:"" group:"Desk" help:"List, show and release orders of authorities."`
	Appeal   shield.AppealCmd   `cmd:"" group:"Desk" help:"List, show and decide appeals."`
	Campaign shield.CampaignCmd `cmd:"" group:"Desk" help:"List, show and merge campaigns, and undo a merge."`
	Notice   shield.NoticeCmd   `cmd:"" group:"Desk" help:"List, show, let go and drop what others outside are told."`
	Figures  shield.FiguresCmd  `cmd:"" group:"Desk" help:"Tell what was counted, and make the yearly report."`
	Report   shield.ReportCmd   `cmd:"" group:"Desk" help:"Report a mail, link or text message, and see what became of it."`

	Top shield.TopCmd `cmd:"" group:"Desk" help:"Watch the desk: queue, reports, blocks, hits, hosts, resolvers, alarms."`

	Import  shield.ImportCmd  `cmd:"" group:"Care" help:"Block and exempt the names of a list, one by one, as your own decisions."`
	Webhook shield.WebhookCmd `cmd:"" group:"Care" help:"Tell other systems what happens."`
	Log     shield.LogCmd     `cmd:"" group:"Care" help:"Show and verify the transparency log, and erase names from it."`
	Privacy privacyCmd        `cmd:"" group:"Care" help:"What is kept of whom: check the limits, export, erase."`
	Audit   auditCmd          `cmd:"" group:"Care" help:"Verify the audit trail."`
	Backup  backupCmd         `cmd:"" group:"Care" help:"Write a copy of the store. The desk may run."`
	Restore restoreCmd        `cmd:"" group:"Care" help:"Put a backup in the place of the store, and release it once looked at."`
	Export  exportCmd         `cmd:"" group:"Care" help:"Write all that is kept into a folder, in open formats. The desk may run."`
	Replay  replayCmd         `cmd:"" group:"Care" help:"Have every host hand in again what it still keeps."`

	Abuse      abuseCmd      `cmd:"" group:"Tools" help:"Cases and reports of abuse, and who had an address."`
	Read       readCmd       `cmd:"" group:"Tools" help:"Show what the desk would read in mails and texts. Needs no desk."`
	Completion completionCmd `cmd:"" group:"Tools" help:"Print the completion of a shell, such as: source <(bolwerk completion bash)."`
	Version    versionCmd    `cmd:"" group:"Tools" help:"Print the version."`
}

const description = "Bolwerk protects an operator's customers: reports come in, people decide, names are blocked, everybody is told."

const examples = `Examples:
  bolwerk demo                                      everything on this machine, invented
  bolwerk report url http://bad.example/login       report a link to the demo
  bolwerk case list                                 what waits for a decision
  bolwerk case confirm C-2026-000001 --reason seen  block it
  bolwerk block explain bad.example                 what every resolver answers, and why
  bolwerk read mail.eml --json                      what is in a mail, without a desk
  bolwerk abuse read report.eml --json              who did what and when, in a report of abuse
`

// Main runs one command until it is done or the process is told to end.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	// The reader gives up all it could do: nothing else may have been started.
	if len(args) == 1 && args[0] == "reader" {
		if err := app.Reader(stdin, stdout); err != nil {
			fmt.Fprintln(stderr, err)
			return Refused
		}
		return Done
	}
	if len(args) > 2 && args[0] == "reader" && args[1] == "ocr" {
		fmt.Fprintln(stderr, reading.RunOCR(args[2], args[3:]))
		return Refused
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return Run(ctx, args, stdin, stdout, stderr)
}

// left is how kong's help ends the parse.
type left int

// Run runs one command and gives its exit code.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	t := &terminal.Terminal{In: stdin, Out: stdout, Err: stderr}
	k, err := kong.New(&grammar{}, kong.Name("bolwerk"), kong.Description(description), kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(left(code)) }), kong.Help(help), here(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Bind(t), kong.BindTo(ctx, (*context.Context)(nil)), kong.BindTo(shield.Way{}, (*abuse.Way)(nil)))
	if err != nil {
		panic(err) // a mistake in the grammar: a bug at start-up
	}
	defer func() {
		if p := recover(); p != nil {
			c, ok := p.(left)
			if !ok {
				panic(p)
			}
			code = int(c)
		}
	}()
	if len(args) == 0 {
		say(stderr, errors.New("no command"), "bolwerk --help lists the commands; bolwerk demo shows it all")
		return Usage
	}
	command, err := k.Parse(clientFlagsLast(args))
	if err != nil {
		say(stderr, err, usageHint(err))
		return Usage
	}
	if err := command.Run(); err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			err = errors.New("interrupted")
		}
		say(stderr, err, hint(err))
		return Refused
	}
	return Done
}

// help adds examples to the first page.
func help(o kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(o, ctx); err != nil || ctx.Selected() != nil {
		return err
	}
	_, err := fmt.Fprint(ctx.Stdout, "\n", examples)
	return err
}

// say writes an error and what to do next. It may hold strangers' text.
func say(w io.Writer, err error, hint string) {
	for i, line := range strings.Split(strings.TrimRight(err.Error(), "\n"), "\n") {
		if i == 0 {
			line = "bolwerk: " + line
		}
		fmt.Fprintln(w, terminal.Escape(line))
	}
	if hint != "" {
		fmt.Fprintln(w, "hint:", terminal.Escape(hint))
	}
}

func usageHint(err error) string {
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		if node := parse.Context.Selected(); node != nil {
			return "bolwerk " + node.Path() + " --help shows what it takes"
		}
		for i := len(parse.Context.Path) - 1; i >= 0; i-- {
			if c := parse.Context.Path[i].Command; c != nil {
				return "bolwerk " + c.Path() + " --help lists its commands"
			}
		}
	}
	return "bolwerk --help lists the commands"
}

// hint is what to do after an error: its own, or what fits its kind.
func hint(err error) string {
	var r *bolwerk.Refusal
	if errors.As(err, &r) && r.Hint != "" {
		return r.Hint
	}
	switch {
	case errors.Is(err, bolwerk.ErrInvalid):
		return "change what was refused and try again; --help shows what the command takes"
	case errors.Is(err, bolwerk.ErrNotFound):
		return "check how it is written; the list commands show what there is"
	case errors.Is(err, bolwerk.ErrConflict):
		return "look at it again: it may be done already"
	case errors.Is(err, bolwerk.ErrForbidden):
		return "ask somebody who may, or use a token of theirs"
	case errors.Is(err, bolwerk.ErrFull):
		return "try again in a minute"
	case errors.Is(err, fs.ErrNotExist):
		return "check the path of the file"
	case errors.Is(err, syscall.EISDIR):
		return "that is a folder: name a file in it, or FOLDER/*"
	}
	return "try again; if it stays so, the log of the part that failed says more"
}

// clientFlagsLast lets --server, --token-file and --json stand before the
// command too: they go behind it.
func clientFlagsLast(args []string) []string {
	i := 0
	for i < len(args) {
		name, _, whole := strings.Cut(args[i], "=")
		if name != "--server" && name != "--token-file" && name != "--json" {
			break
		}
		if i++; !whole && name != "--json" {
			i++
		}
	}
	if i == 0 || i >= len(args) {
		return args
	}
	rest := args[i:]
	end := len(rest)
	if n := slices.Index(rest, "--"); n >= 0 {
		end = n
	}
	return slices.Concat(rest[:end], args[:i], rest[end:])
}
