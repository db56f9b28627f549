// Package demo is the invented world of "make demo": an operator with brands,
// lists, an authority, people, an upstream DNS, two hundred reports of twelve
// campaigns, visitors of what is blocked, and the page that says what to try.
//
// Nothing in it exists: names end in .example (RFC 2606), addresses are those of
// RFC 5737 and RFC 3849. Nothing in it is random either: the same day gives the
// same world, so that a demo that was killed goes on where it was. Only the app
// of the demo imports it.
package demo

import (
	"time"

	"bolwerk"
	"bolwerk/internal/idn"
	"bolwerk/internal/mail"
	"bolwerk/shield/aid"
	"bolwerk/shield/judge"
	"bolwerk/shield/lists"
)

// World is everything that the demo is about.
type World struct {
	// Day is the moment at which it begins. Dates in mails and orders follow it;
	// ids and names do not.
	Day time.Time
	// Operator is the name that the public sees.
	Operator string
	// ReportTo takes reports, AnswerFrom answers them.
	ReportTo, AnswerFrom mail.Address
	// OwnNames are the operator's domains: never blocked, with all below.
	OwnNames []bolwerk.Domain
	// AuthservIDs are the names under which the operator's mail servers write
	// Authentication-Results.
	AuthservIDs []string
	// Brands are the names that the campaigns imitate.
	Brands []judge.Brand
	// Platforms are places that strangers share: a website builder, a seller of
	// names one label down, a link shortener.
	Platforms []judge.Platform
	// Lists are what the guards and the judge know, with their text.
	Lists []List
	// Authority issues orders.
	Authority Authority
	// Accounts are the people of the desk.
	Accounts []Account
	// Partners are whom customers can call.
	Partners aid.Partners
}

// List is one list and its file.
type List struct {
	lists.Source
	// Tier is how much a feed or allow list is trusted; 0 for the other kinds.
	Tier judge.Tier
	Text string
}

// Authority issues orders by a file.
type Authority struct {
	Name   string // in commands
	Public string // on pages
	Ground string // where an order brings none
	// MustHave is an entry that the file always has.
	MustHave bolwerk.Domain
	// Text is the file: one order a line, as JSON.
	Text string
}

// Account is somebody of the desk.
type Account struct {
	Login string
	Role  string // viewer, analyst, duty_officer, privacy_officer or admin
	// MadeAt lies two days before Day, so that the account may approve.
	MadeAt time.Time
}

// The people that the first page speaks of.
const (
	Decider  = "joris" // the duty officer whose token DIR/demo.token is
	Approver = "amira" // the second duty officer
)

// New makes the world that begins at day.
func New(day time.Time) World {
	day = day.UTC().Truncate(time.Second)
	w := World{
		Day:         day,
		Operator:    "Polder Telecom",
		ReportTo:    mail.MustAddress("suspicious@bolwerk.example"),
		AnswerFrom:  mail.MustAddress("shield@bolwerk.example"),
		Partners:    partners(day),
		OwnNames:    []bolwerk.Domain{name("bolwerk.example"), name("poldertelecom.example")},
		AuthservIDs: []string{authserv},
		Brands:      brands(),
		Platforms: []judge.Platform{
			{Name: name("webhoek.example"), Kind: judge.TenantSubdomain},
			{Name: name("com.example"), Kind: judge.TenantSubdomain},
			{Name: name("kort.example"), Kind: judge.Shortener},
		},
		Authority: authority(day),
	}
	w.Lists = allLists(w.Brands)
	for _, a := range []Account{{Login: "sanne", Role: "analyst"}, {Login: Decider, Role: "duty_officer"}, {Login: Approver, Role: "duty_officer"},
		{Login: "ilse", Role: "admin"}, {Login: "tom", Role: "viewer"}, {Login: "petra", Role: "privacy_officer"}} {
		a.MadeAt = day.Add(-48 * time.Hour)
		w.Accounts = append(w.Accounts, a)
	}
	return w
}

// authserv is the host that the operator's customers' mail comes through.
const authserv = "mx.poldertelecom.example"

// name reads a name of the world, U-labels too; it panics, since all are ours.
func name(s string) bolwerk.Domain {
	d, err := idn.Parse(s)
	if err != nil {
		panic("demo: " + s + ": " + err.Error())
	}
	return d
}
