package shield

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/store"
	"bolwerk/shield/capture"
	"bolwerk/shield/judge"
)

// TestReplay: the kept evidence and the rules of then give the kept verdict to the
// byte; what changed since is named; and a verdict or evidence that somebody
// touched does not pass.
func TestReplay(t *testing.T) {
	s := newShield(t)
	s.report(lure("Your card is stopped", "https://anchorbank-over.example/in"))
	id := s.caseOf("anchorbank-over.example")
	replay := func() Replayed {
		t.Helper()
		r, err := s.Replay(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	change := func(sql string) {
		t.Helper()
		if err := s.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error { _, err := tx.Exec(sql); return err }); err != nil {
			t.Fatal(err)
		}
	}
	r := replay()
	if r.State != "same" || len(r.Changed) != 0 || r.Was.Ruleset != judge.Ruleset || r.At.IsZero() || len(r.Was.Reasons) == 0 {
		t.Fatalf("replayed %+v", r)
	}
	if !reflect.DeepEqual(r.Was, r.Again) || !reflect.DeepEqual(r.Was, r.Is) {
		t.Errorf("was %+v, again %+v, is %+v", r.Was, r.Again, r.Is)
	}
	// A verdict by the rules before these is made again by their name, to the byte.
	change(`update shield_verdict set ruleset='2026.1'`)
	if r = replay(); r.State != "same" || r.Again.Ruleset != "2026.1" || !reflect.DeepEqual(r.Was, r.Again) {
		t.Errorf("by the rules of 2026.1: %+v", r)
	}
	change(`update shield_verdict set ruleset='` + judge.Ruleset + `'`)
	// The world goes on: the verdict stands, and what came is named.
	change(`insert into shield_evidence(observable,family,source,reason,tier,verdict,detail,brand,version,at) select id,'list','partner','listed',1,'malicious','','','v2',1 from shield_observable`)
	if r = replay(); r.State != "different" || !reflect.DeepEqual(r.Was, r.Again) || len(r.Changed) != 1 || r.Changed[0].How != "came" || r.Changed[0].Is.Source != "partner" || r.Is.Word != judge.Malicious {
		t.Errorf("with a new listing: %+v", r)
	}
	change(`delete from shield_evidence where reason='listed'`)
	change(`update shield_evidence set detail='something else' where source='brands'`)
	if r = replay(); r.State != "different" || len(r.Changed) == 0 || r.Changed[0].How != "changed" {
		t.Errorf("with other words: %+v", r)
	}
	change(`update shield_verdict set ruleset='1999.1'`)
	if r = replay(); r.State != "unknown_rules" {
		t.Errorf("by rules that are gone: %+v", r)
	}
	change(`update shield_verdict set ruleset='` + judge.Ruleset + `', evidence='[]'`)
	if r = replay(); r.State != "broken" {
		t.Errorf("with evidence taken away: %+v", r)
	}
}

// TestReplay_reads_the_pages_again: the captures that the verdict rests on are read
// again and give the same to the byte; one that says something else than what was
// read out of it does not pass, and one that is gone is named.
func TestReplay_reads_the_pages_again(t *testing.T) {
	s := newShield(t)
	const at = "https://secure-login7.example/pas"
	s.report(lure("Card", at))
	round := func(b capture.Bundle, page string) {
		t.Helper()
		task := s.give()[at]
		s.handIn(task, b, page)
		s.handIn(task, as(b, capture.Phone, bolwerk.FR), page)
	}
	again := func() {
		t.Helper()
		s.clock.Add(time.Hour)
		if err := s.db.Write(t.Context(), store.Intake, func(tx *store.Tx) error {
			_, err := tx.Exec(`update shield_visit set due_at=$1`, tx.NowMicros())
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	gone := answered(at, 200)
	gone.Hops, gone.Failed = []capture.Hop{}, "dns"
	round(gone, "")
	again()
	round(answered(at, 200), kitPage)
	// The page hides for many rounds: what it showed is kept, because the verdict
	// rests on it.
	for range 4 {
		again()
		round(gone, "")
	}
	id := s.caseOf("secure-login7.example")
	c, err := s.Case(t.Context(), id)
	if err != nil || !says(c, "brand_form") {
		t.Fatalf("%v: a page that hides has become harmless: %+v", err, c.Evidence)
	}
	replay := func() Replayed {
		t.Helper()
		r, err := s.Replay(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := replay()
	if r.State != "same" || len(r.Pages) != 4 || !reflect.DeepEqual(r.Was, r.Is) || len(r.Changed) != 0 {
		t.Fatalf("replayed %+v", r)
	}
	for _, p := range r.Pages {
		if p.State != "same" || p.By == "" || len(p.Bundle) != 64 {
			t.Errorf("page %+v", p)
		}
	}
	change := func(sql string, args ...any) {
		t.Helper()
		if err := s.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error { _, err := tx.Exec(sql, args...); return err }); err != nil {
			t.Fatal(err)
		}
	}
	shown := r.Pages[len(r.Pages)-1]
	text := s.one(`select seen from shield_capture where id=$1`, shown.ID)
	change(`update shield_capture set seen=$2 where id=$1`, shown.ID, strings.Replace(text, "Anchor Bank - log in", "Something else", 1))
	if r = replay(); r.State != "broken" {
		t.Errorf("with another title: %+v", r)
	}
	change(`update shield_capture set seen=$2 where id=$1`, shown.ID, text)
	change(`delete from shield_page where digest=$1`, shown.Bundle)
	if r = replay(); r.State != "same" || r.Pages[len(r.Pages)-1].State != "gone" {
		t.Errorf("without a capture: %+v", r)
	}
}

// TestCapturesAreSealed: the database alone does not show what a probe saw, and with
// the last capture of a month its key is destroyed.
func TestCapturesAreSealed(t *testing.T) {
	s := newShield(t)
	const at = "https://secure-login7.example/pas"
	s.report(lure("Card", at))
	task := s.give()[at]
	s.handIn(task, answered(at, 200), kitPage)
	s.handIn(task, as(answered(at, 200), capture.Phone, bolwerk.FR), kitPage)
	var body []byte
	digest := s.one(`select bundle from shield_capture limit 1`)
	if err := s.db.Read(t.Context(), func(tx *store.Tx) error {
		return tx.Row(`select body_sealed from shield_page where digest=$1`, digest).Scan(&body)
	}); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(body, []byte("2026-11")) || bytes.Contains(body, []byte("Anchor")) || bytes.Contains(body, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		t.Errorf("it begins with %q", body[:20])
	}
	read := func() error {
		return s.db.Read(t.Context(), func(tx *store.Tx) error {
			b, err := s.readPage(tx, digest)
			if err == nil && !bytes.Contains(b, []byte("Anchor Bank")) {
				t.Errorf("it is %q", b)
			}
			return err
		})
	}
	// Bodies of reports go after two months; captures stay with their case.
	s.clock.Add(100 * 24 * time.Hour)
	if err := s.retain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := read(); err != nil {
		t.Errorf("after 100 days: %v", err)
	}
	if err := s.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error { _, err := tx.Exec(`delete from shield_capture`); return err }); err != nil {
		t.Fatal(err)
	}
	copied := bytes.Clone(body) // as a backup has it
	if err := s.forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.retain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.vault.Kept().Open(purposePage, copied); err == nil {
		t.Error("its key is still there")
	}
}
