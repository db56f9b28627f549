package demo

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
)

// Addresses are where the demo listens and what its commands are called.
type Addresses struct {
	Program string // path of the program, as the newcomer types it
	Dir     string // of the demo's state
	// Flags are what client commands need beside their own words, such as
	// --server and --token-file; empty where ./bolwerk-demo/demo.json tells them.
	Flags  string
	LogIn  string // one-time link
	Second string // one-time link of the second duty officer
	// Password is that of everybody in the demo: an approval asks for it.
	Password string
	Console  string // http://...
	Public   string // http://...
	Outbox   string // console page with sent mail; empty: the folder alone
	Preview  string // link to the example of the warning page; empty: none
	Garden   string // link to the page of the safe environment; empty: none
	// host:port
	DNS, RPZ, Upstream, Page, TLS, SMTP string
}

// verify is the command that walks the audit trail: it asks the desk in its
// folder, not over the API.
func (a Addresses) verify() string {
	c := a.Program + " audit verify"
	if a.Flags != "" {
		c += " --data " + quoted(a.Dir)
	}
	return c + " --against " + quoted(filepath.Join(a.Dir, "edge"))
}

// Step is one thing to try.
type Step struct {
	Title    string
	See      string // what happens, one sentence
	Links    []string
	Commands []string // exact; RECEIPT stands for what an earlier step showed
}

// Steps are what to try, in order.
func Steps(a Addresses) []Step {
	client := func(words string) string {
		return strings.TrimSpace(a.Program + " " + words + " " + a.Flags)
	}
	phish := quoted(filepath.Join(a.Dir, PhishFile))
	page := func(address, kind string) string {
		return fmt.Sprintf("dig %s %s %s +noall +comments +answer", at(address), PhishName, kind)
	}
	seen := func(what ...string) (out []string) {
		for _, w := range what {
			if w != "" {
				out = append(out, w)
			}
		}
		return out
	}
	smtpHost, smtpPort, _ := net.SplitHostPort(a.SMTP)
	webHost, webPort, _ := net.SplitHostPort(a.Page)
	return []Step{
		{Title: "Log in", See: "You are " + Decider + ", a duty officer. The link works once; later, everybody's password is " + a.Password + " (sanne, " + Decider + ", " + Approver + ", ilse, tom, petra).", Links: seen(a.LogIn)},
		{Title: "Look at the queue", See: "Two hundred invented reports of twelve campaigns arrive in four minutes; the worst stands on top.",
			Links: seen(a.Console), Commands: []string{client("case list")}},
		{Title: "Ask for a name that nobody has reported", See: "It resolves: an address of the invented world.", Commands: []string{page(a.DNS, "A")}},
		{Title: "Report it", See: "You get a receipt, and within a second the case " + PhishName + " is in the queue.",
			Commands: []string{client("report mail " + phish), client("report show RECEIPT")}},
		{Title: "Report it as a subscriber does, by mail", See: "The same case, one reporter more; the answer is in the outbox.",
			Commands: []string{fmt.Sprintf("swaks --server %s --port %s --from you@thuisnet.example --to suspicious@bolwerk.example --header 'Subject: Fwd: is this real?' --body 'Is this real?' --attach-type message/rfc822 --attach @%s", smtpHost, smtpPort, phish)}},
		{Title: "Confirm it", See: "The decision is in the audit trail and the edge blocks the name a moment later.",
			Commands: []string{client("case show " + PhishName), client("case confirm " + PhishName + " --reason 'asks for the bank password'")}},
		{Title: "Ask again", See: "The answer is the address of the warning page, with EDE 4; secondaries load the same from the policy zone.",
			Commands: []string{page(a.DNS, "A"), fmt.Sprintf("dig %s b.rpz AXFR +tcp | grep %s", at(a.RPZ), PhishName)}},
		{Title: "See what a visitor sees", See: "Where he was, why he was stopped, what to do now, and how to say that it is a mistake.", Links: seen(a.Preview),
			Commands: []string{fmt.Sprintf("curl --connect-to %s:80:%s:%s -H 'Accept: text/html' 'http://%s/?lang=en'", PhishName, webHost, webPort, PhishName)}},
		{Title: "Ask why", See: "Every block says who decided, on what ground, until when, and whether it is in force at each resolver.",
			Commands: []string{client("block explain " + PhishName)}},
		{Title: "Take it back", See: "One person, no second signature, no waiting: the name resolves again.",
			Commands: []string{client("block list"), client("block withdraw " + PhishName + " --reason 'we were wrong'"), page(a.DNS, "A")}},
		{Title: "Read what the reporter got", See: "Receipt, answer and correction, each in the reporter's language.", Links: seen(a.Public, a.Outbox),
			Commands: []string{client("report show RECEIPT"), "ls " + quoted(filepath.Join(a.Dir, "outbox"))}},
		{Title: "Decide with two", See: "A whole domain needs a second person. Open this in another browser: you are " + Approver + ", who may approve it under Second person, also on a phone.", Links: seen(a.Second),
			Commands: []string{client("block add boevenbende.example --scope registrable --reason 'all of it'")}},
		{Title: "Release the authority's orders", See: "A first list is looked at by one person, in the console under Orders; one order is refused, because it names a site that must resolve.",
			Commands: []string{client("order list")}},
		{Title: "See that nothing was rewritten", See: "The audit trail is a chain of hashes; the edge keeps the heads that it has seen.",
			Commands: []string{a.verify()}},
		{Title: "See a report of abuse become a case", See: "A feed found an open service at one of our addresses. Accounting says whose line that was at that time, and a case is opened about the subscriber; each look at who it is gets noted.", Links: []string{a.Console + "/abuse"},
			Commands: []string{client("abuse case list"), client("report mail " + quoted(filepath.Join(a.Dir, AbuseFile)) + " --smtp " + a.SMTP + " --to abuse@bolwerk.example"), client("abuse case list")}},
		{Title: "See the safe environment", See: "A camera of " + guest + " is infected, and her line is this machine's too: once she is in quarantine this page says what to do, and lets her out when every step is ticked.", Links: seen(a.Garden),
			Commands: []string{"curl -s " + a.Garden + "/.well-known/bolwerk/captive"}},
		{Title: "See a line become clean", See: "Sixteen days ago the feed told of a line, and not since. Its case takes the steps of two weeks when you say so, and closes as clean. The figures show three invented months.", Links: []string{a.Console + "/abuse/figures"},
			Commands: []string{client("abuse import --feed " + quoted(FeedName) + " " + quoted(filepath.Join(a.Dir, FeedFile))), client("abuse case list --subscriber gust@bolwerk.example --reason 'to try it'"), client("abuse case play CASE now --reason 'its next step'") + "   # three times", client("abuse case show CASE")}},
	}
}

// WhatToTry is the first page as text for a terminal. It is what the demo prints
// before "ready".
func WhatToTry(a Addresses) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Bolwerk demo: the invented operator Polder Telecom. All names end in .example; nothing leaves this machine.\n\n")
	for _, l := range [][2]string{{"console, API", a.Console}, {"public site", a.Public}, {"warning page", a.Page}, {"TLS door", a.TLS}, {"safe environment", a.Garden},
		{"DNS", a.DNS}, {"RPZ primary", a.RPZ}, {"upstream DNS", a.Upstream}, {"SMTP", a.SMTP}, {"folder", a.Dir}} {
		if l[1] != "" {
			fmt.Fprintf(&b, "  %-16s %s\n", l[0], l[1])
		}
	}
	b.WriteString("\nWhat to try, in this order:\n")
	for i, s := range Steps(a) {
		fmt.Fprintf(&b, "\n%2d. %s\n    %s\n", i+1, s.Title, s.See)
		for _, l := range s.Links {
			fmt.Fprintf(&b, "      %s\n", l)
		}
		for _, c := range s.Commands {
			fmt.Fprintf(&b, "      $ %s\n", c)
		}
	}
	b.WriteString("\nCtrl-C stops everything.\n")
	return b.String()
}

// at is a server as dig wants it.
func at(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "@" + address
	}
	return "@" + host + " -p " + port
}

// quoted is a path as one word of a shell.
func quoted(path string) string {
	if strings.Trim(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+,@") == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
