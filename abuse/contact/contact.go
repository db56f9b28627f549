// Package contact is the book of how subscribers are reached: a copy of what the
// operator's own systems know, brought by import, sealed, and let go of when nobody
// tells it again. The desk informs people from it, and asks it whom to spare.
package contact

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/abuse/notice"
	"bolwerk/abuse/session"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/mail"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
)

//go:embed schema.sql
var schema string

// Schema is the tables of this package.
func Schema() store.Schema { return store.Schema{Name: "abuse_contact", Steps: []string{schema}} }

// Flags are what is known of a subscriber without saying who it is.
type Flags struct {
	Known      bool `json:"-"`                    // the book has the subscriber
	Never      bool `json:"never,omitempty"`      // never put in quarantine: a hospital, an alarm centre
	Vulnerable bool `json:"vulnerable,omitempty"` // somebody there depends on the line
	Business   bool `json:"business,omitempty"`
	Reseller   bool `json:"reseller,omitempty"` // gives the addresses on to customers of its own
}

// Entry is one subscriber. All of it is personal data.
type Entry struct {
	// Subscriber is as accounting names it; Line where accounting names the line alone.
	Subscriber string `json:"subscriber,omitempty"`
	Line       string `json:"line,omitempty"`
	Name       string `json:"name,omitempty"` // as a letter has it
	Mail       string `json:"mail,omitempty"`
	Phone      string `json:"phone,omitempty"` // international: +32...
	Street     string `json:"street,omitempty"`
	Postcode   string `json:"postcode,omitempty"`
	City       string `json:"city,omitempty"`
	Country    string `json:"country,omitempty"` // two capitals; empty: the operator's own
	// Lang is the language; empty: the operator's first.
	Lang bolwerk.Lang `json:"lang,omitempty"`
	// Channels are the ways that the subscriber prefers, best first; empty: mail, else
	// letter.
	Channels []notice.Channel `json:"channels,omitempty"`
	Flags
	// AbuseMail is a reseller's mailbox for reports about its customers.
	AbuseMail string `json:"abuse_mail,omitempty"`
	// MailBack is the status (RFC 3463) with which a mail to Mail, or to a reseller's
	// AbuseMail, came back lately: that way is not taken. It is found, and never imported.
	MailBack string `json:"mail_back,omitempty"`
}

// Bounds of an entry.
const (
	maxText  = 200 // octets of name, street, city
	MaxBatch = 500 // entries at once
)

// Check refuses what cannot be meant. Its errors name the field and never its value.
func (e Entry) Check() error {
	if e.Subscriber == "" && e.Line == "" {
		return bolwerk.Invalid("subscriber: it names neither a subscriber nor a line")
	}
	for _, f := range []struct {
		name, value string
		most        int
	}{{"subscriber", e.Subscriber, session.MaxName}, {"line", e.Line, session.MaxName}, {"name", e.Name, maxText}, {"street", e.Street, maxText}, {"city", e.City, maxText}, {"postcode", e.Postcode, 16}} {
		if len(f.value) > f.most || !utf8.ValidString(f.value) || strings.ContainsFunc(f.value, unicode.IsControl) {
			return bolwerk.Invalid("%s: want one line of at most %d octets of UTF-8", f.name, f.most)
		}
	}
	for _, f := range []struct{ name, value string }{{"mail", e.Mail}, {"abuse_mail", e.AbuseMail}} {
		if f.value == "" {
			continue
		}
		if _, err := mail.ParseAddress(f.value); err != nil {
			return bolwerk.Invalid("%s: that is no mail address", f.name)
		}
	}
	if e.Phone != "" && (len(e.Phone) > 40 || Number(e.Phone) == "") {
		return bolwerk.Invalid("phone: want an international number such as +32 2 555 01 00")
	}
	if e.Country != "" && (len(e.Country) != 2 || strings.Trim(e.Country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "") {
		return bolwerk.Invalid("country: want two capitals such as BE")
	}
	if e.Lang != "" && !slices.Contains(bolwerk.Langs(), e.Lang) {
		return bolwerk.Invalid("lang: want nl, fr, de or en")
	}
	for i, c := range e.Channels {
		if !slices.Contains(notice.Channels(), c) || slices.Contains(e.Channels[:i], c) {
			return bolwerk.Invalid("channels: want each of mail, sms, letter, app at most once")
		}
	}
	switch {
	case e.Reseller && e.AbuseMail == "":
		return bolwerk.WithHint(bolwerk.Invalid("abuse_mail: a reseller needs one"), "events about its lines are forwarded there")
	case !e.Reseller && e.AbuseMail != "":
		return bolwerk.Invalid("abuse_mail: only a reseller has one")
	}
	return nil
}

// Reach are the ways that lead to the subscriber, of those in want where it names
// some, else of those preferred, best first.
func (e Entry) Reach(want []notice.Channel) (out []notice.Channel) {
	if len(want) == 0 {
		want = e.Channels
	}
	may := map[notice.Channel]bool{notice.Mail: e.Mail != "" && e.MailBack == "", notice.SMS: e.Phone != "", notice.Letter: e.Street != "" && e.City != "" && e.Name != "", notice.App: e.Subscriber != ""}
	for _, c := range want {
		if may[c] && !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	for _, c := range []notice.Channel{notice.Mail, notice.Letter} {
		if len(out) == 0 && may[c] {
			out = append(out, c)
		}
	}
	return out
}

// Identity is how accounting names the subscriber.
func (e Entry) Identity() session.Identity {
	return session.Identity{Subscriber: e.Subscriber, Line: e.Line}
}

// Config is how long the book keeps what it was told.
type Config struct {
	// Days is how long an entry is kept after it was told last. Import the book more
	// often than this: what is not told again is deleted.
	Days int `toml:"days"`
}

// DefaultConfig keeps a customer of last year's import.
func DefaultConfig() Config { return Config{Days: 400} }

// Validate says what is wrong with c.
func (c Config) Validate() error {
	if c.Days < 7 || c.Days > 3660 {
		return bolwerk.Invalid("days %d: want 7 to 3660", c.Days)
	}
	return nil
}

// For what the book seals and marks.
const (
	Sealed = "abuse.contact"
	mark   = "abuse.contact"
)

// Book keeps how subscribers are reached.
type Book struct {
	cfg   Config
	db    *store.DB
	keys  *vault.Vault
	clock clock.Clock
}

// New opens the book. keys are of nothing else: they are destroyed with the entries.
func New(cfg Config, db *store.DB, keys *vault.Vault, c clock.Clock, reg prometheus.Registerer) *Book {
	b := &Book{cfg: cfg, db: db, keys: keys, clock: c}
	if reg != nil {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bolwerk_abuse_contacts", Help: "Subscribers in the book of contacts."}, b.count))
	}
	return b
}

func (b *Book) count() (n float64) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := b.db.Read(ctx, func(tx *store.Tx) error { return tx.Row(`select count(*) from abuse_contact`).Scan(&n) }); err != nil {
		return -1
	}
	return n
}

// Put keeps entries, each in place of what was told of the same subscriber before.
// It is all or nothing; what is wrong names the entry by its place, from 1.
func (b *Book) Put(ctx context.Context, by bolwerk.Actor, file string, all []Entry) error {
	if len(all) > MaxBatch {
		return bolwerk.Invalid("%d contacts at once: at most %d are taken", len(all), MaxBatch)
	}
	type row struct {
		mark   string
		marks  []string
		sealed []byte
		Entry
	}
	rows := make([]row, len(all))
	for i, e := range all {
		if err := e.Check(); err != nil {
			return bolwerk.Invalid("contact %d: %v", i+1, err)
		}
		e.MailBack = ""
		plain, err := json.Marshal(e)
		if err != nil {
			return err
		}
		r := row{Entry: e}
		if r.sealed, err = b.keys.Seal(Sealed, plain); err != nil {
			return err
		}
		if r.mark, err = b.keys.Mark(mark, e.Identity().Who()); err != nil {
			return err
		}
		if r.marks, err = b.keys.Marks(mark, e.Identity().Who()); err != nil {
			return err
		}
		rows[i] = r
	}
	month := vault.Month(b.clock.Now())
	return b.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		for _, r := range rows {
			if err := forget(tx, r.marks); err != nil {
				return err
			}
			if _, err := tx.Exec(`insert into abuse_contact(mark,month,never,vulnerable,business,reseller,detail_sealed,at) values($1,$2,$3,$4,$5,$6,$7,$8)`,
				r.mark, month, r.Never, r.Vulnerable, r.Business, r.Reseller, r.sealed, tx.NowMicros()); err != nil {
				return err
			}
		}
		if file != "" {
			audit.Append(tx, by, "abuse.contact.import", file, "", nil)
		}
		return nil
	})
}

// in is a list of marks as SQL; nobody's where there is none.
func in(marks []string) (string, []any) {
	args := []any{""}
	list := "$1"
	for _, m := range marks {
		args = append(args, m)
		list += ",$" + strconv.Itoa(len(args))
	}
	return list, args
}

func forget(tx *store.Tx, marks []string) error {
	list, args := in(marks)
	_, err := tx.Exec(`delete from abuse_contact where mark in (`+list+`)`, args...)
	return err
}

// marksOf are the marks under which a subscriber may stand: the name, and the line.
func (b *Book) marksOf(who session.Identity) ([]string, error) {
	all, err := b.keys.Marks(mark, who.Who())
	if err != nil || who.Subscriber == "" || who.Line == "" {
		return all, err
	}
	more, err := b.keys.Marks(mark, session.Identity{Line: who.Line}.Who())
	return append(all, more...), err
}

// Flags says what is known of a subscriber. One who is not in the book has none.
func (b *Book) Flags(tx *store.Tx, who session.Identity) (f Flags, err error) {
	marks, err := b.marksOf(who)
	if err != nil {
		return f, err
	}
	list, args := in(marks)
	err = tx.Each(`select never,vulnerable,business,reseller from abuse_contact where mark in (`+list+`)`, args, func(scan func(...any) error) error {
		var one Flags
		err := scan(&one.Never, &one.Vulnerable, &one.Business, &one.Reseller)
		f = Flags{true, f.Never || one.Never, f.Vulnerable || one.Vulnerable, f.Business || one.Business, f.Reseller || one.Reseller}
		return err
	})
	f.Reseller = f.Reseller || who.Reseller
	return f, err
}

// Find gives how a subscriber is reached; the subscriber's own entry before that of
// the line. bolwerk.ErrNotFound says that nobody told. Whoever asks notes it.
func (b *Book) Find(tx *store.Tx, who session.Identity) (e Entry, err error) {
	for _, i := range []session.Identity{who, {Line: who.Line}} {
		if i.Who() == "" {
			continue
		}
		marks, err := b.keys.Marks(mark, i.Who())
		if err != nil {
			return e, err
		}
		list, args := in(marks)
		var sealed []byte
		err = tx.Row(`select detail_sealed from abuse_contact where mark in (`+list+`) order by at desc limit 1`, args...).Scan(&sealed)
		if store.None(err) {
			continue
		}
		if err != nil {
			return e, err
		}
		plain, err := b.keys.Open(Sealed, sealed)
		if errors.Is(err, bolwerk.ErrNotFound) {
			continue
		}
		if err != nil {
			return e, err
		}
		if err = json.Unmarshal(plain, &e); err != nil {
			return e, err
		}
		address := e.Mail
		if e.Reseller {
			address = e.AbuseMail
		}
		e.MailBack, err = b.badness(tx, address)
		return e, err
	}
	return e, bolwerk.NotFound("nobody has told how this subscriber is reached")
}

// Remove takes a subscriber out of the book.
func (b *Book) Remove(tx *store.Tx, who session.Identity) (bool, error) {
	marks, err := b.keys.Marks(mark, who.Who())
	if err != nil {
		return false, err
	}
	list, args := in(marks)
	n, err := tx.Exec(`delete from abuse_contact where mark in (`+list+`)`, args...)
	return n > 0, err
}

// Forget deletes what nobody told again in time, and the keys that nothing needs.
func (b *Book) Forget(ctx context.Context) error {
	if b.clock.Suspect() {
		return nil
	}
	const some = 500
	cut := b.clock.Now().AddDate(0, 0, -b.cfg.Days)
	for n := int64(some); n == some; {
		if err := b.db.Write(ctx, store.Intake, func(tx *store.Tx) (err error) {
			n, err = tx.Exec(`delete from abuse_contact where mark in (select mark from abuse_contact where at<$1 order by at limit $2)`, store.Micros(cut), some)
			return err
		}); err != nil {
			return err
		}
	}
	if err := b.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		_, err := tx.Exec(`delete from abuse_contact_bad where at<$1`, store.Micros(b.clock.Now().Add(-badTime)))
		return err
	}); err != nil {
		return err
	}
	return b.DestroyKeys(ctx)
}

// DestroyKeys destroys the keys here that nothing needs: each desk has its own files, and
// one of them forgets.
func (b *Book) DestroyKeys(context.Context) error {
	if b.clock.Suspect() {
		return nil // a key cannot be brought back
	}
	_, err := b.keys.Destroy(vault.Month(b.clock.Now().AddDate(0, 0, -b.cfg.Days)))
	return err
}

// Number is a telephone number as networks take it: a plus and 7 to 15 digits (ITU-T
// E.164); "" where it is none.
func Number(s string) string {
	s = strings.NewReplacer(" ", "", "-", "", ".", "", "/", "", "(", "", ")", "").Replace(s)
	if digits, ok := strings.CutPrefix(s, "+"); !ok || len(digits) < 7 || len(digits) > 15 || strings.Trim(digits, "0123456789") != "" || digits[0] == '0' {
		return ""
	}
	return s
}
