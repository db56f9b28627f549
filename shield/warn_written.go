package shield

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/audit"
	"bolwerk/internal/copy"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
	"bolwerk/shield/door"
	"bolwerk/shield/judge"
)

// A person warns the public in the operator's own words: of calls, of a wave that
// no campaign shows yet. Blocks warn of their campaigns by themselves (warn.go).

// Bounds of a warning that a person writes. It ends by itself: one that nobody
// looks after must not stand for ever.
const (
	warnAtMost  = 14 * 24 * time.Hour
	maxHead     = 120 // characters of a title
	maxWords    = 1500
	maxBrand    = 60
	maxWarnings = 20 // in force at once: who is warned of all is warned of nothing
)

// WarningWords are a warning in one language.
type WarningWords = door.WarningText

// Warn is a warning to be written.
type Warn struct {
	Brand string // whom the messages pretend to come from; may be empty
	Names []bolwerk.Domain
	Words []WarningWords // one for each language
	Until time.Time
}

// Written is a warning that a person wrote.
type Written struct {
	ID, Ref, Brand string
	Names          []string
	Words          []WarningWords
	By             bolwerk.Actor
	At, Until      time.Time
	EndedAt        time.Time // by a person; zero is not
	EndedBy        bolwerk.Actor
	Now            bool // the public reads it
}

// In are its words in a language.
func (w Written) In(lang bolwerk.Lang) WarningWords {
	for _, x := range w.Words {
		if x.Lang == lang {
			return x
		}
	}
	return WarningWords{}
}

// check gives the warning as it is kept.
func (w Warn) check(now time.Time) (Warn, error) {
	w.Brand = strings.Join(strings.Fields(w.Brand), " ")
	if !plain(w.Brand, maxBrand, false) {
		return w, bolwerk.Invalid("brand: want one line of at most %d characters", maxBrand)
	}
	if len(w.Names) > warnNames {
		return w, bolwerk.Invalid("%d names: at most %d", len(w.Names), warnNames)
	}
	var words []WarningWords
	for _, lang := range bolwerk.Langs() {
		i := slices.IndexFunc(w.Words, func(x WarningWords) bool { return x.Lang == lang })
		if i < 0 {
			i = len(w.Words)
			w.Words = append(w.Words, WarningWords{Lang: lang})
		}
		x := w.Words[i]
		x.Title = strings.Join(strings.Fields(x.Title), " ")
		x.Text = strings.TrimSpace(strings.ReplaceAll(x.Text, "\r\n", "\n"))
		if x.Title == "" || x.Text == "" {
			return w, bolwerk.WithHint(bolwerk.Invalid("there is no title or no text in %s", lang), "the public reads all four languages: write each")
		}
		if !plain(x.Title, maxHead, false) {
			return w, bolwerk.Invalid("title in %s: want one line of at most %d characters", lang, maxHead)
		}
		if !plain(x.Text, maxWords, true) {
			return w, bolwerk.Invalid("text in %s: want at most %d characters", lang, maxWords)
		}
		words = append(words, x)
	}
	w.Words = words
	if w.Until = w.Until.Truncate(time.Microsecond); !w.Until.After(now) || w.Until.Sub(now) > warnAtMost {
		return w, bolwerk.WithHint(bolwerk.Invalid("the warning ends in the past or after more than 14 days"), "choose a day within two weeks; write it again when it still goes round")
	}
	return w, nil
}

// plain says that a text fits and has nothing that a page would not show.
func plain(s string, most int, lines bool) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, func(r rune) bool {
		return r == utf8.RuneError || unicode.Is(unicode.Bidi_Control, r) || unicode.IsControl(r) && !(lines && (r == '\n' || r == '\t'))
	})
}

// WriteWarning publishes a warning at once.
func (s *Shield) WriteWarning(ctx context.Context, who judge.Person, in Warn) (out Written, err error) {
	if err := judge.May(who, judge.Warn); err != nil {
		return out, err
	}
	err = s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		w, err := in.check(tx.Now())
		if err != nil {
			return err
		}
		var n int64
		if err := tx.Row(`select count(*) from shield_warning where ended_at=0 and valid_until>$1`, tx.NowMicros()).Scan(&n); err != nil {
			return err
		}
		if n >= maxWarnings {
			return bolwerk.WithHint(bolwerk.Conflict("%d warnings are in force already", n), "end one that nobody needs any more")
		}
		ref, err := desk.Number(tx, "W")
		if err != nil {
			return err
		}
		out = Written{ID: bolwerk.NewID(tx.Now()), Ref: ref, Brand: w.Brand, Words: w.Words, By: bolwerk.Person(who.ID), At: tx.Now(), Until: w.Until, Now: true}
		for _, n := range w.Names {
			out.Names = append(out.Names, n.String())
		}
		words, err := json.Marshal(w.Words)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`insert into shield_warning(id,ref,brand,names,words,actor,made_at,valid_until,ended_at,ended_by) values($1,$2,$3,$4,$5,$6,$7,$8,0,'')`,
			out.ID, ref, w.Brand, strings.Join(out.Names, " "), string(words), out.By.String(), tx.NowMicros(), store.Micros(w.Until)); err != nil {
			return err
		}
		body, err := json.Marshal(door.Warning{Ref: ref, Brand: w.Brand, Since: out.At, Last: out.At, Until: w.Until, Names: out.Names, Texts: w.Words})
		if err != nil {
			return err
		}
		s.publish.Append(tx, CopyPublic, copy.Entry{ID: door.WarningEntry + ref, Version: tx.NowMicros(), Body: body, Until: store.Micros(w.Until)}, nil)
		audit.Append(tx, out.By, "shield.warning.write", ref, "", map[string]any{"brand": w.Brand, "names": out.Names, "until": w.Until, "words": w.Words})
		return nil
	})
	return out, err
}

// EndWarning takes a warning off the public site. Nothing holds that up.
func (s *Shield) EndWarning(ctx context.Context, who judge.Person, ref string) error {
	if err := judge.May(who, judge.Warn); err != nil {
		return err
	}
	return s.db.Write(ctx, store.WayBack, func(tx *store.Tx) error {
		w, err := oneWritten(tx, ref)
		if err != nil {
			return err
		}
		if !w.Now {
			return bolwerk.Conflict("warning %s is over already", ref)
		}
		if _, err := tx.Exec(`update shield_warning set ended_at=$1,ended_by=$2 where id=$3`, tx.NowMicros(), bolwerk.Person(who.ID).String(), w.ID); err != nil {
			return err
		}
		e, err := publish.Entry(tx, CopyPublic, door.WarningEntry+ref)
		if err != nil {
			return err
		}
		s.publish.Append(tx, CopyPublic, copy.Entry{ID: e.ID, Version: max(e.Version+1, tx.NowMicros()), Removed: true}, nil)
		audit.Append(tx, bolwerk.Person(who.ID), "shield.warning.end", ref, "", nil)
		return nil
	})
}

const writtenColumns = `select id,ref,brand,names,words,actor,made_at,valid_until,ended_at,ended_by from shield_warning `

func readWritten(now int64) func(scan func(...any) error) (Written, error) {
	return func(scan func(...any) error) (w Written, err error) {
		var names, words, by, endedBy string
		var at, until, ended int64
		if err := scan(&w.ID, &w.Ref, &w.Brand, &names, &words, &by, &at, &until, &ended, &endedBy); err != nil {
			return w, err
		}
		w.Names, w.At, w.Until, w.Now = strings.Fields(names), store.Time(at), store.Time(until), ended == 0 && until > now
		if ended > 0 {
			w.EndedAt = store.Time(ended)
		}
		if w.By, err = bolwerk.ParseActor(by); err != nil {
			return w, err
		}
		if endedBy != "" {
			if w.EndedBy, err = bolwerk.ParseActor(endedBy); err != nil {
				return w, err
			}
		}
		return w, json.Unmarshal([]byte(words), &w.Words)
	}
}

func oneWritten(tx *store.Tx, ref string) (Written, error) {
	w, err := readWritten(tx.NowMicros())(tx.Row(writtenColumns+`where ref=$1`, ref).Scan)
	if store.None(err) {
		return w, bolwerk.NotFound("no warning %q", ref)
	}
	return w, err
}

// WrittenWarnings lists the warnings that people wrote, the newest first.
func (s *Shield) WrittenWarnings(ctx context.Context, after string, limit int) (out []Written, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		var w desk.Where
		w.And("made_at>=0")
		if after != "" {
			w.And("id<?", after)
		}
		out, err = store.List(tx, readWritten(tx.NowMicros()), writtenColumns+`where `+w.SQL+` order by id desc limit `+strconv.Itoa(limit), w.Args...)
		return err
	})
	return out, err
}

// CountWritten says how many there are.
func (s *Shield) CountWritten(ctx context.Context) (n desk.Counted, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error { return tx.Row(`select count(*) from shield_warning`).Scan(&n.N) })
	return n, err
}
