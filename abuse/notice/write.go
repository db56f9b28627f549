// Package notice has the words of what subscribers are told: bytes out for each way and
// language, without a link, and a letter as PDF. It knows no store: the public site
// uses it too.
package notice

import (
	"embed"
	"regexp"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/reading"
	"bolwerk/internal/web"
)

//go:embed texts/*.toml
var textFiles embed.FS

// Texts are the words of notices, in every language.
func Texts() (*web.Texts, error) { return web.ReadTexts(textFiles, "texts") }

// Channel is a way to somebody.
type Channel string

// The channels. XARF goes to a reseller's abuse mailbox and is no preference.
const (
	Mail   Channel = "mail"
	SMS    Channel = "sms"
	Letter Channel = "letter"
	App    Channel = "app" // the operator's app, or its call centre
	XARF   Channel = "xarf"
)

// Channels are those that a subscriber may prefer.
func Channels() []Channel { return []Channel{Mail, SMS, Letter, App} }

// Kind is why somebody is told.
type Kind string

// The kinds.
const (
	Warned      Kind = "warned"
	Quarantined Kind = "quarantined"
	Reminded    Kind = "reminded"
	Released    Kind = "released"
	Cleaned     Kind = "cleaned"
	Mistaken    Kind = "mistaken" // we were wrong, and say so
)

// Kinds are all of them, in the order in which a case has them.
func Kinds() []Kind { return []Kind{Warned, Quarantined, Reminded, Released, Cleaned, Mistaken} }

// Asks says that the subscriber is to do something: such a notice has steps and a code.
func (k Kind) Asks() bool { return k == Warned || k == Quarantined || k == Reminded }

// Groups are the kinds of trouble for which there are words.
func Groups() []string {
	return []string{"infected", "spam", "attack", "open", "hole", "content", "account", "other"}
}

// GroupOf is the kind of trouble that a class is, for somebody who is no expert.
func GroupOf(c reading.Class) string {
	switch c {
	case reading.Infected, reading.C2:
		return "infected"
	case reading.Spam:
		return "spam"
	case reading.DDoS, reading.DoS, reading.Scanner, reading.BruteForce, reading.Exploiting, reading.NewExploit, reading.UnauthorisedUse, reading.Sniffing:
		return "attack"
	case reading.Amplifier, reading.OpenService, reading.Disclosing, reading.Misconfigured, reading.DataLeak:
		return "open"
	case reading.Vulnerable, reading.WeakCrypto:
		return "hole"
	case reading.MalwareSite, reading.MalwareConfig, reading.Phishing, reading.Masquerade:
		return "content"
	case reading.SysCompromise, reading.AppCompromise, reading.PrivilegedAcc, reading.Account:
		return "account"
	}
	return "other"
}

// Matter is what a notice is about.
type Matter struct {
	Kind   Kind
	Ref    string // number of the case
	Class  reading.Class
	Device string
	Seen   []garden.Seen
	Until  time.Time // end of the quarantine; zero is not told
	Code   string    // empty: there is none
	Valid  time.Time // until when the code works
}

// Text is a notice as it goes out.
type Text struct {
	Subject string `json:"subject"`
	Body    string `json:"body"`
	// Address are the lines of a letter's window.
	Address []string `json:"address,omitempty"`
	// Code is the code in it, for the operator's app.
	Code string `json:"code,omitempty"`
	// Report is what programs read of it: XARF for a reseller.
	Report []byte `json:"report,omitempty"`
}

// Writer has the words of an operator.
type Writer struct {
	own      *web.Texts // of the notices
	dates    *web.Texts
	zone     *time.Location
	operator string
}

// NewWriter reads the words. operator is its name, zone where times are told.
func NewWriter(operator, zone string) (*Writer, error) {
	own, err := Texts()
	if err != nil {
		return nil, err
	}
	dates, err := web.OwnTexts()
	if err != nil {
		return nil, err
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return nil, err
	}
	// A name with a dot would be made a link of.
	name := strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r == '.' || r == '/' || r == '@' {
			return ' '
		}
		return r
	}, operator)), " ")
	return &Writer{own, dates, loc, name}, nil
}

const maxTimes = 3 // that a notice names: the portal shows more

// Write is a notice in a language for a channel. It names nobody, holds nothing that a
// reporter wrote but a port, and no program finds an address to click in it.
func (w *Writer) Write(m Matter, lang bolwerk.Lang, channel Channel) Text {
	say := func(key string, args ...any) string { return w.own.T(lang, "inform."+key, args...) }
	kind := "kind." + string(m.Kind)
	if channel == SMS {
		return Text{Body: fold.Replace(say("sms."+string(m.Kind), clip(w.operator, 30), m.Code)), Code: m.Code}
	}
	group := "group." + GroupOf(m.Class)
	part := []string{say("hello"), say(kind + ".lead")}
	if m.Kind == Quarantined && !m.Until.IsZero() {
		part = append(part, say(kind+".until", w.dates.Day(lang, m.Until, w.zone)))
	}
	if m.Kind.Asks() {
		part = append(part, say(group+".what"))
		if s := w.seen(m, lang); s != "" {
			part = append(part, say("seen")+"\n"+s+"\n"+say("seen.from"))
		}
		if m.Device != "" {
			part = append(part, say("device", m.Device))
		}
		part = append(part, say("do")+"\n"+say(group+".do"))
		part = append(part, say("where", w.operator), "    "+m.Code, say("where.then")+" "+say("code.until", w.dates.Day(lang, m.Valid, w.zone)))
	}
	part = append(part, say("safe"), say("case", m.Ref), say("bye")+"\n"+say("desk", w.operator))
	return Text{Subject: say(kind + ".subject"), Body: strings.Join(part, "\n\n") + "\n", Code: m.Code}
}

// seen are the times, with the port or program where one is known.
func (w *Writer) seen(m Matter, lang bolwerk.Lang) string {
	var lines []string
	for _, s := range m.Seen[:min(len(m.Seen), maxTimes)] {
		line := "- " + w.dates.Moment(lang, s.At, w.zone)
		if what := Harmless(s.What); what != "" {
			line += " (" + what + ")"
		}
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// Harmless is a word of a report that may stand in a notice: one that no program makes
// a link of, and nobody an instruction. Anything else is left out.
func Harmless(s string) string {
	if len(s) > 40 || strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == ' ' || r == '/' || r == '-' || r == '_')
	}) >= 0 {
		return ""
	}
	return s
}

func clip(s string, most int) string {
	r := []rune(s)
	return strings.TrimSpace(string(r[:min(len(r), most)]))
}

// link finds what mail programs and telephones make a link of: an address of a page or
// of a mailbox, or a name with a dot and letters behind it.
var link = regexp.MustCompile(`(?i)://|www\b|@|\b(?:https?|ftp|mailto|tel)\b:|[\p{L}\p{N}-]\.\p{L}{2,}`)

// Linkless refuses a text in which something can be clicked.
func Linkless(t Text) error {
	for _, s := range []string{t.Subject, t.Body} {
		if at := link.FindString(s); at != "" {
			return bolwerk.Invalid("a notice with something to click in it (%.40q) does not leave", at)
		}
	}
	return nil
}

// Outcome is what became of one report.
type Outcome struct {
	Ref  string    // number of the report
	Code string    // as the reporter sees it, or NotOurs
	Day  time.Time // when the report came
}

// NotOurs is the code of a report about addresses of others.
const NotOurs = "NOT_OURS"

// Outcomes tells somebody what became of what they reported, in the order given. It
// says nothing of whose line it was, and of times only the days of the reports.
func (w *Writer) Outcomes(lang bolwerk.Lang, all []Outcome) Text {
	say := func(key string, args ...any) string { return w.own.T(lang, "inform.reporter."+key, args...) }
	subject := say("subjects")
	if len(all) == 1 {
		subject = say("subject", all[0].Ref)
	}
	part := []string{w.own.T(lang, "inform.hello")}
	for i := 0; i < len(all); { // reports of one day with one end are told once
		words := say(all[i].Code, w.dates.Day(lang, all[i].Day, w.zone))
		refs := all[i].Ref
		for i++; i < len(all) && say(all[i].Code, w.dates.Day(lang, all[i].Day, w.zone)) == words; i++ {
			refs += ", " + all[i].Ref
		}
		part = append(part, refs+" ("+all[i-1].Code+")\n"+words)
	}
	part = append(part, say("never"), w.own.T(lang, "inform.bye")+"\n"+w.own.T(lang, "inform.desk", w.operator))
	return Text{Subject: subject, Body: strings.Join(part, "\n\n") + "\n"}
}

// Forwarded is the mail by which a reseller gets a report about one of its customers.
func (w *Writer) Forwarded(lang bolwerk.Lang, ref string, class reading.Class, report []byte) Text {
	say := func(key string, args ...any) string { return w.own.T(lang, "inform."+key, args...) }
	return Text{Subject: say("xarf.subject", string(class), ref), Body: say("xarf.body") + "\n\n" + say("case", ref) + "\n\n" + say("desk", w.operator) + "\n", Report: report}
}
