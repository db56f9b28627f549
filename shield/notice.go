package shield

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/audit"
	"bolwerk/internal/job"
	"bolwerk/internal/mail"
	"bolwerk/internal/store"
	"bolwerk/shield/judge"
)

// Others are told of what was decided: an authority, lists of browsers, the brand
// that is imitated, and of the name itself its host, registrar and owner. A notice
// is a row with its text as it goes out, and a job. Nothing in it comes from a
// report but the address of the page, without what could name the reporter.

// Kinds of recipients.
const (
	ToAuthority = "authority"
	ToBrowsers  = "browsers"
	ToBrand     = "brand"
	ToHost      = "host"
	ToRegistrar = "registrar"
	ToOwner     = "owner"
)

func noticeKinds() []string {
	return []string{ToAuthority, ToBrowsers, ToBrand, ToHost, ToRegistrar, ToOwner}
}

// NoticeConfig says who outside is told of confirmed cases. Nobody is, until it
// says so.
type NoticeConfig struct {
	// From writes the notices and gets what recipients write back; empty is
	// answer_from. Let its mail come in as reports do, and receipts are kept.
	From mail.Address `toml:"from"`
	// Lang is the language to recipients of whom no other is known.
	Lang bolwerk.Lang `toml:"lang"`
	// Host tells the abuse contact of the network in which the page stands.
	Host bool `toml:"host"`
	// Registrar tells the abuse contact of the registrar, unless the site is a
	// hacked one of somebody else.
	Registrar bool `toml:"registrar"`
	// Owner tells webmaster@ of a hacked site.
	Owner bool `toml:"owner"`
	// To are recipients by name: authorities, brands, lists of browsers.
	To []NoticeTo `toml:"to"`
	// PerHour is how many notices leave in an hour; what is more waits.
	PerHour int `toml:"per_hour"`
	// DryRun makes notices and shows them; none leaves.
	DryRun bool `toml:"dry_run"`
}

// NoticeTo is one recipient by name.
type NoticeTo struct {
	// Name is what the console calls it.
	Name string `toml:"name"`
	// Kind is authority, browsers or brand.
	Kind string `toml:"kind"`
	// Brand is the protected brand whose imitations it is told, for kind "brand".
	Brand string `toml:"brand"`
	// Mail is its address.
	Mail mail.Address `toml:"mail"`
	// URL is where its API takes reports, by https, instead of a mail.
	URL string `toml:"url"`
	// Format is what the API takes: json (ours), netcraft or webrisk.
	Format string `toml:"format"`
	// KeyFile holds the token for the API; it is read for each notice.
	KeyFile string `toml:"key_file"`
	// Lang is its language.
	Lang bolwerk.Lang `toml:"lang"`
	// BeforeDecision tells it what rules found malicious, before a person has
	// decided; if the person then says no, it gets a correction.
	BeforeDecision bool `toml:"before_decision"`
	// PerDay is how many notices it gets in a day; 0 is 200.
	PerDay int `toml:"per_day"`
}

const noticePerDay = 200

// Formats that an API may take.
const (
	formatJSON     = "json"
	formatNetcraft = "netcraft"
	formatWebRisk  = "webrisk"
)

// Validate tells every problem at once.
func (c NoticeConfig) Validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, bolwerk.Invalid("shield.notices: "+format, a...)) }
	if !slices.Contains(bolwerk.Langs(), c.Lang) {
		bad("lang %q: want nl, fr, de or en", c.Lang)
	}
	if c.PerHour < 1 || c.PerHour > 10_000 {
		bad("per_hour = %d: want 1 to 10000", c.PerHour)
	}
	names := map[string]bool{}
	for _, t := range c.To {
		if t.Name == "" || len(t.Name) > 60 || names[t.Name] || slices.Contains(noticeKinds(), t.Name) {
			bad("to %.60q: want a name of its own, of at most 60 letters, that is no kind", t.Name)
		}
		names[t.Name] = true
		if t.Kind != ToAuthority && t.Kind != ToBrowsers && t.Kind != ToBrand {
			bad("to %.60q: kind %q: want authority, browsers or brand", t.Name, t.Kind)
		}
		if (t.Kind == ToBrand) != (t.Brand != "") {
			bad("to %.60q: brand goes with kind \"brand\"", t.Name)
		}
		if t.Mail.IsZero() == (t.URL == "") {
			bad("to %.60q: want a mail address or a url", t.Name)
		}
		if t.URL != "" {
			if u, err := url.Parse(t.URL); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
				bad("to %.60q: url: want https, without a password in it", t.Name)
			}
			if !slices.Contains([]string{"", formatJSON, formatNetcraft, formatWebRisk}, t.Format) {
				bad("to %.60q: format %q: want json, netcraft or webrisk", t.Name, t.Format)
			}
		}
		if t.URL == "" && (t.Format != "" || t.KeyFile != "") {
			bad("to %.60q: format and key_file go with a url", t.Name)
		}
		if t.Lang != "" && !slices.Contains(bolwerk.Langs(), t.Lang) {
			bad("to %.60q: lang %q: want nl, fr, de or en", t.Name, t.Lang)
		}
		if t.BeforeDecision && t.Kind != ToAuthority {
			bad("to %.60q: only an authority is told before a person has decided", t.Name)
		}
		if t.PerDay < 0 || t.PerDay > 100_000 {
			bad("to %.60q: per_day = %d", t.Name, t.PerDay)
		}
	}
	return errors.Join(errs...)
}

func (c NoticeConfig) early() bool {
	return slices.ContainsFunc(c.To, func(t NoticeTo) bool { return t.BeforeDecision })
}

func (c NoticeConfig) any() bool { return c.Host || c.Registrar || c.Owner || len(c.To) > 0 }

// recipient is the configured one of a name.
func (c NoticeConfig) recipient(name string) (NoticeTo, bool) {
	i := slices.IndexFunc(c.To, func(t NoticeTo) bool { return t.Name == name })
	if i < 0 {
		return NoticeTo{}, false
	}
	return c.To[i], true
}

// NoticeState is where a notice stands.
type NoticeState string

// The states of a notice.
const (
	NoticeHeld     NoticeState = "held"     // the first to its recipient: a person looks first
	NoticeWaiting  NoticeState = "waiting"  // to be sent
	NoticeSent     NoticeState = "sent"     // it left
	NoticeReceipt  NoticeState = "receipt"  // the recipient confirmed it
	NoticeRefused  NoticeState = "refused"  // the recipient does not take it
	NoticeGivenUp  NoticeState = "given_up" // tried too often
	NoticeDropped  NoticeState = "dropped"  // never sent: withdrawn before, or by a person
	NoticeReturned NoticeState = "returned" // it left and came back
	NoticeDry      NoticeState = "dry"      // a dry run: it did not leave
)

func noticeStates() []NoticeState {
	return []NoticeState{NoticeHeld, NoticeWaiting, NoticeSent, NoticeReceipt, NoticeRefused, NoticeReturned, NoticeGivenUp, NoticeDropped, NoticeDry}
}

// Notice is something that somebody outside is told.
type Notice struct {
	ID   string      `json:"id"`
	Ref  string      `json:"ref"`
	Name string      `json:"name" doc:"name that it is about"`
	Case string      `json:"case" doc:"number of the case"`
	Kind string      `json:"kind" enum:"authority,browsers,brand,host,registrar,owner"`
	Who  string      `json:"who" doc:"recipient, as the configuration calls it; of a host or registrar its name"`
	To   string      `json:"to" doc:"mail address, or address of the API"`
	Lang string      `json:"lang"`
	Fix  bool        `json:"correction,omitempty" doc:"takes back an earlier notice"`
	Say  NoticeState `json:"state" enum:"held,waiting,sent,receipt,refused,returned,given_up,dropped,dry"`
	// Subject, Body and Report are as they go out.
	Subject string    `json:"subject"`
	Body    string    `json:"body"`
	Report  string    `json:"report,omitempty" doc:"what programs read: XARF, or what the API was given"`
	Tries   int       `json:"tries"`
	Error   string    `json:"error,omitempty" doc:"what went wrong last"`
	Receipt string    `json:"receipt,omitempty" doc:"what the recipient called it"`
	MadeAt  time.Time `json:"made_at"`
	SentAt  time.Time `json:"sent_at,omitzero"`
	// ReceiptAt is when the receipt came.
	ReceiptAt time.Time `json:"receipt_at,omitzero"`

	block, messageID string
	caseID           string
	api              bool
}

const noticeColumns = `n.id,n.ref,n.about,coalesce(c.ref,''),n.kind,n.who,n.to_text,n.lang,n.correction,n.state,n.subject,n.body,n.report,n.tries,n.error,n.receipt,n.made_at,n.sent_at,n.receipt_at,n.block,n.message_id,n.case_id,n.api from shield_notice n left join desk_case c on c.id=n.case_id`

func readNotice(scan func(...any) error) (n Notice, err error) {
	var made, sent, receipt int64
	err = scan(&n.ID, &n.Ref, &n.Name, &n.Case, &n.Kind, &n.Who, &n.To, &n.Lang, &n.Fix, &n.Say, &n.Subject, &n.Body, &n.Report, &n.Tries, &n.Error, &n.Receipt, &made, &sent, &receipt, &n.block, &n.messageID, &n.caseID, &n.api)
	n.MadeAt, n.SentAt, n.ReceiptAt = store.Time(made), store.Time(sent), store.Time(receipt)
	return n, err
}

func findNotice(tx *store.Tx, id string) (Notice, error) {
	n, err := readNotice(tx.Row(`select `+noticeColumns+` where n.id=$1 or n.ref=$1`, id).Scan)
	if store.None(err) {
		return n, bolwerk.NotFound("no notice %q", id)
	}
	return n, err
}

// Notice gives one notice, by id or number.
func (s *Shield) Notice(ctx context.Context, id string) (n Notice, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error { n, err = findNotice(tx, id); return err })
	return n, err
}

// noticesOf are the notices about a case, oldest first.
func noticesOf(tx *store.Tx, caseID string) ([]Notice, error) {
	return store.List(tx, readNotice, `select `+noticeColumns+` where n.case_id=$1 order by n.id limit 100`, caseID)
}

// NoticeFilter says which notices a list shows.
type NoticeFilter struct {
	State NoticeState
	Kind  string
	Case  string // number
	Query string // part of the name, or of the recipient's address
	After string
	Limit int
}

func (f NoticeFilter) where(tx *store.Tx) (w desk.Where, err error) {
	w.And("n.made_at>=0")
	if f.State != "" {
		w.And("n.state=?", string(f.State))
	}
	if f.Kind != "" {
		w.And("n.kind=?", f.Kind)
	}
	if f.Case != "" {
		c, err := desk.FindCase(tx, f.Case)
		if err != nil {
			return w, err
		}
		w.And("n.case_id=?", c.ID)
	}
	if f.Query != "" {
		like := "%" + desk.EscapeLike(f.Query) + "%"
		w.And(`(n.about like ? escape '\' or n.to_text like ? escape '\')`, like, like)
	}
	return w, nil
}

// Notices lists notices, newest first.
func (s *Shield) Notices(ctx context.Context, f NoticeFilter) (out []Notice, err error) {
	limit := f.Limit
	if limit <= 0 {
		limit = 50
	}
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		w, err := f.where(tx)
		if err != nil {
			return err
		}
		if f.After != "" {
			w.And("n.id<?", f.After)
		}
		query, args := w.Select(noticeColumns, "n.id desc", min(limit, 500))
		out, err = store.List(tx, readNotice, query, args...)
		return err
	})
	return out, err
}

// CountNotices says how many a filter shows.
func (s *Shield) CountNotices(ctx context.Context, f NoticeFilter) (n desk.Counted, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		w, err := f.where(tx)
		if err == nil {
			n, err = desk.Count(tx, "shield_notice n", w)
		}
		return err
	})
	return n, err
}

// first is under which name a person lets the first notice go: a configured
// recipient's own, else the kind.
func (n Notice) first() string {
	switch n.Kind {
	case ToHost, ToRegistrar, ToOwner:
		return n.Kind
	}
	return n.Who
}

func released(tx *store.Tx, first string) (bool, error) {
	var n int64
	err := tx.Row(`select count(*) from shield_notice_first where first=$1`, first).Scan(&n)
	return n > 0, err
}

// LetNotices lets the first notice to a recipient go, after a person has read it,
// with all that wait beside it; those that follow go by themselves.
func (s *Shield) LetNotices(ctx context.Context, who judge.Person, id string) error {
	if err := judge.May(who, judge.TellOutside); err != nil {
		return err
	}
	return s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		n, err := findNotice(tx, id)
		if err != nil {
			return err
		}
		if n.Say != NoticeHeld {
			return bolwerk.Conflict("notice %s is %s already", n.Ref, n.Say)
		}
		by := bolwerk.Person(who.ID)
		if _, err := tx.Exec(`insert into shield_notice_first(first,actor,at) values($1,$2,$3) on conflict(first) do nothing`, n.first(), by.String(), tx.NowMicros()); err != nil {
			return err
		}
		audit.Append(tx, by, "shield.notice.let", n.Ref, "", map[string]string{"to": n.first()})
		held, err := store.List(tx, readNotice, `select `+noticeColumns+` where n.state='held' order by n.id`)
		if err != nil {
			return err
		}
		for _, h := range held {
			if h.first() != n.first() {
				continue
			}
			if err := s.wait(tx, h); err != nil {
				return err
			}
		}
		return nil
	})
}

// wait asks for a notice to be sent.
func (s *Shield) wait(tx *store.Tx, n Notice) error {
	if _, err := tx.Exec(`update shield_notice set state='waiting' where id=$1`, n.ID); err != nil {
		return err
	}
	return sendAt(tx, n, tx.Now())
}

// sendAt asks for a notice to be sent at a time. All mails go one way, the relay; an API
// is a way of its own.
func sendAt(tx *store.Tx, n Notice, at time.Time) error {
	way := "mail"
	if n.api {
		way = n.Who
	}
	return job.AddBy(tx, noticeSendJob, way, n.ID+"/"+at.Format(time.RFC3339Nano), n.ID, at)
}

// DropNotice keeps a notice that did not leave yet from leaving.
func (s *Shield) DropNotice(ctx context.Context, who judge.Person, id string) error {
	if err := judge.May(who, judge.Reject); err != nil {
		return err
	}
	return s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		n, err := findNotice(tx, id)
		if err != nil {
			return err
		}
		k, err := tx.Exec(`update shield_notice set state='dropped' where id=$1 and state in ('held','waiting')`, n.ID)
		if err == nil && k == 0 {
			return bolwerk.Conflict("notice %s is %s already", n.Ref, n.Say)
		}
		audit.Append(tx, bolwerk.Person(who.ID), "shield.notice.drop", n.Ref, "", nil)
		return err
	})
}

// KeepReceipt keeps what a recipient answered to a notice elsewhere.
func (s *Shield) KeepReceipt(ctx context.Context, who judge.Person, id, receipt string) error {
	if err := judge.May(who, judge.Reject); err != nil {
		return err
	}
	receipt = strings.Join(strings.Fields(receipt), " ")
	if receipt == "" || !plain(receipt, maxReceipt, false) {
		return bolwerk.WithHint(bolwerk.Invalid("receipt: want one line of at most %d characters", maxReceipt), "the number that the recipient gave, such as a ticket")
	}
	return s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		n, err := findNotice(tx, id)
		if err != nil {
			return err
		}
		if n.SentAt.IsZero() {
			return bolwerk.Conflict("notice %s has not left", n.Ref)
		}
		audit.Append(tx, bolwerk.Person(who.ID), "shield.notice.receipt", n.Ref, "", map[string]string{"receipt": receipt})
		return keepReceipt(tx, n.ID, receipt)
	})
}

const maxReceipt = 200

func keepReceipt(tx *store.Tx, id, receipt string) error {
	_, err := tx.Exec(`update shield_notice set state='receipt', receipt=$1, receipt_at=$2 where id=$3`, receipt, tx.NowMicros(), id)
	return err
}

// giveUpNotices marks what the runner of jobs gave up by itself: each try ended
// the program.
func (s *Shield) giveUpNotices(ctx context.Context) error {
	const q = ` from shield_notice n join job j on j.ref=n.id and j.kind='` + noticeSendJob + `' where n.state='waiting' and j.state='failed' and not exists (select 1 from job k where k.ref=n.id and k.kind=j.kind and k.state in ('waiting','parked'))`
	var n int64
	err := s.db.Read(ctx, func(tx *store.Tx) error { return tx.Row(`select count(*)` + q).Scan(&n) })
	if err != nil || n == 0 {
		return err
	}
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		_, err := tx.Exec(`update shield_notice set state='given_up' where id in (select n.id` + q + `)`)
		return err
	})
}
