// Package abuse is the desk for reports about the operator's own customers: from
// a report in any format of the field to a clean line. Reports become events, events
// of one line and class a case, and people decide.
package abuse

import (
	"bolwerk/abuse/reading"
	"bolwerk/internal/terminal"
)

// Cmd is the capability's part of the command line.
type Cmd struct {
	Read   readCmd   `cmd:"" help:"Show the events in reports of abuse. Needs no desk."`
	Case   CaseCmd   `cmd:"" help:"List, show and close cases of abuse."`
	Import importCmd `cmd:"" help:"Give the desk files as reports of abuse."`

	Contact    ContactCmd    `cmd:"" help:"How subscribers are reached."`
	Inform     informCmd     `cmd:"" help:"Tell the subscriber of a case something."`
	Messages   messagesCmd   `cmd:"" help:"Show what the subscriber of a case was told. The look is noted."`
	Quarantine QuarantineCmd `cmd:"" help:"Lines in the safe environment."`
	Exemption  ExemptionCmd  `cmd:"" help:"Exemptions of all subscribers: list them, end one."`
	Playbook   PlaybookCmd   `cmd:"" help:"What the desk does about a class of cases by itself."`
}

type readCmd struct {
	Files []string `arg:"" name:"file" help:"Reports: mails, tables, JSON, XML, archives of them; - is standard input."`
	JSON  bool     `help:"Print one line of JSON for each event, and for each thing refused."`
}

// Run does it.
func (c *readCmd) Run(t *terminal.Terminal) error { return reading.Command(c.Files, c.JSON, t.Out) }
