package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/abuse"
	"bolwerk/abuse/clearing"
	"bolwerk/abuse/contact"
	accounting "bolwerk/abuse/door"
	"bolwerk/abuse/inform"
	"bolwerk/abuse/session"
	"bolwerk/abuse/view"
	"bolwerk/abuse/who"
	"bolwerk/internal/blob"
	"bolwerk/internal/demo"
	"bolwerk/internal/factlog"
	"bolwerk/internal/join"
	"bolwerk/shield/reading"
	"bolwerk/shield/seen"
)

// buildWho is who had an address at a time. Its keys are of nothing else: they are
// destroyed with the sessions.
func (d *Desk) buildWho(ctx context.Context, reg prometheus.Registerer) error {
	keys, err := d.openKeys(ctx, "sessions")
	if err != nil {
		return err
	}
	m, err := who.NewMetrics(reg)
	if err != nil {
		return err
	}
	d.sessions = keys
	d.who = who.New(d.cfg.Abuse.Who, d.db, keys, d.env.Clock, d.env.Log, m)
	chosen, err := d.openKeys(ctx, "views") // kept as long as the choice
	if err != nil {
		return err
	}
	d.views = view.New(d.cfg.Abuse.Views, d.cfg.Abuse.Who.Interim.D(), d.db, d.who, d.publish, chosen, d.env.Clock, d.env.Log)
	d.back = append(d.back, part{"sessions", d.who.Run}, part{"views", d.once("views", d.views.Run)})
	return nil
}

// WhoHad is a question at the admin socket: who had an address, and why it is asked.
type WhoHad struct {
	session.Question
	Reason string `json:"reason"`
	Case   string `json:"case,omitempty"`
}

// whoHad answers it, once the look is noted.
func (d *Desk) whoHad(ctx context.Context, r *http.Request) (any, error) {
	var in WhoHad
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, bolwerk.Invalid("who had an address: %v", err)
	}
	a, err := d.who.Ask(ctx, who.Look{Question: in.Question, By: bolwerk.Socket(), Reason: in.Reason, Case: in.Case})
	return a, err
}

// looks are the tasks that reader processes do beside those of the shield.
func looks() map[reading.Task]reading.Look {
	all := seen.Looks()
	all[abuse.ReadTask], all[abuse.BounceTask] = abuse.Look, abuse.LookBounce
	return all
}

// Reader is the role reader: bytes of strangers in, what they say out.
func Reader(in io.Reader, out io.Writer) error { return reading.Child(in, out, looks()) }

// abuseReader has the shield's readers read reports of abuse too.
type abuseReader struct{ pool *reading.Pool }

// Look has a report read.
func (a abuseReader) Look(ctx context.Context, task string, raw []byte, ask any) (json.RawMessage, error) {
	q, err := json.Marshal(ask)
	if err != nil {
		return nil, err
	}
	r, err := a.pool.Read(ctx, reading.Task(task), raw, reading.Option{Ask: q})
	var death *reading.Death
	if errors.As(err, &death) {
		return nil, fmt.Errorf("%w: %w", abuse.ErrDied, err)
	}
	return r.Answer, err
}

// buildAbuse is the abuse desk: what came in is read, resolved and put into cases.
func (d *Desk) buildAbuse(ctx context.Context, pool *reading.Pool, send inform.Sender, facts *factlog.Log, reg prometheus.Registerer) error {
	keys, err := d.openKeys(ctx, "contacts") // destroyed with the book's entries
	if err != nil {
		return err
	}
	d.contacts = contact.New(d.cfg.Abuse.Contact, d.db, keys, d.env.Clock, reg)
	parts := abuse.Parts{DB: d.db, Clock: d.env.Clock, Log: d.env.Log, Facts: facts, Vault: d.vault, Blobs: blob.New(d.vault), Sessions: d.sessions, Who: d.who, Contacts: d.contacts,
		Publish: d.publish, Holder: d.lease, Holds: d.holds, Reader: abuseReader{pool}, Gardens: d.views, Metrics: reg,
		AuthservIDs: d.cfg.Shield.AuthservIDs, OwnAddresses: append(slices.Concat(d.cfg.SMTP.Addresses, d.cfg.Shield.ReportAddresses), d.cfg.Shield.AnswerFrom, d.cfg.Abuse.Inform.From)}
	zone, err := time.LoadLocation(d.cfg.Console.Zone)
	if err != nil {
		return err
	}
	parts.Zone = zone
	if e := d.cfg.Abuse.Enforce; len(e.NAS)+len(e.HTTP)+len(e.Kea) > 0 {
		parts.Port, parts.Proved, parts.Stays, parts.Told, parts.Lied = d.access, d.access.Proved, d.access.Stays, d.access.Told, d.access.Withdraw
	}
	if c := d.cfg.Abuse.Clearing; c.On() {
		house, err := clearing.Open(c, accounting.MaxReport)
		if err != nil {
			return err
		}
		parts.Clearing, parts.FetchEvery, parts.FetchFeed = house, c.Every.D(), c.Feed
	}
	d.abuse = abuse.New(d.cfg.Abuse.Config, parts)
	tell, err := inform.New(d.cfg.Abuse.Inform, inform.Parts{DB: d.db, Clock: d.env.Clock, Log: d.env.Log, Facts: facts, Keys: d.sessions.Kept(), Book: d.contacts, Who: d.who, Publish: d.publish, Mail: send, Cases: d.abuse, Gardens: d.abuse.Quarantines(), Metrics: reg,
		Operator: d.cfg.Operator, Zone: d.cfg.Public.Zone, Country: d.cfg.Country, Lang: d.cfg.Public.Languages[0]})
	if err != nil {
		return err
	}
	d.abuse.Informing(tell)
	d.abuse.Handle(d.jobs)
	tell.Handle(d.jobs)
	d.back = append(d.back, part{"abuse", d.abuse.Run})
	return nil
}

// demoAbuse gives the abuse desk the invented network and reports, each under its
// fixed id, and goes on with the accounting until ctx ends.
func (d *Desk) demoAbuse(ctx context.Context) error {
	now := d.env.Clock.Now()
	told := demo.Sessions(now)
	if err := d.who.Take(ctx, told); err != nil {
		return err
	}
	if err := d.contacts.Put(ctx, bolwerk.Task("demo"), "", demo.Contacts()); err != nil {
		return err
	}
	for _, r := range demo.AbuseReports(now) {
		if err := d.abuse.Receive(ctx, local[join.Intake], accounting.KindReport, r.ID, r.Encode()); err != nil {
			return err
		}
	}
	days, cases := demo.Feed(now)
	history := make([]abuse.InventedCase, len(cases))
	for i, c := range cases {
		history[i] = abuse.InventedCase(c)
	}
	if err := d.abuse.Invent(ctx, demo.FeedName, days, history); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(30 * time.Second):
		}
		if err := d.who.Take(ctx, demo.StillThere(told, d.env.Clock.Now())); err != nil {
			return err
		}
	}
}
