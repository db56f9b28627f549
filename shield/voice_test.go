package shield

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/mail"
	"bolwerk/internal/store"
)

// answerTo is the mail that answers a report.
func (s *testShield) answerTo(report string) (m mail.Message) {
	s.t.Helper()
	err := s.db.Read(s.t.Context(), func(tx *store.Tx) error {
		var id string
		if err := tx.Row(`select id from desk_notice where ref=$1`, report).Scan(&id); err != nil {
			return err
		}
		n, err := desk.WaitingNotice(tx, s.vault, id)
		if err != nil {
			return err
		}
		return json.Unmarshal(n.Body, &m)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

// The operator has two brands: who wrote to one is answered by that one, in its
// words, with a link to its site.
func TestAnswer_follows_the_address_that_was_written_to(t *testing.T) {
	s := newShield(t)
	words := filepath.Join(s.dir, "tip")
	if err := os.Mkdir(words, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, lang := range bolwerk.Langs() {
		s.file("tip/"+string(lang)+".toml", "[shield.reply]\nthanks = \"Tip thanks you.\"\n")
	}
	tip := Voice{ID: "tip", Name: "Tip", URL: "https://safe.tip.example", From: mail.MustAddress("safe@tip.example"), To: []mail.Address{mail.MustAddress("suspect@tip.example")}, Texts: words}
	s.cfg.Voices = []Voice{tip}
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	const nothing = "From: x@mailer.example\nSubject: hello\n\nCall me.\n"

	s.to = "Suspect@tip.example"
	m := s.answerTo(s.report(nothing))
	if m.From != tip.From || m.FromName != "Tip" || !strings.Contains(m.Body, "https://safe.tip.example/r/") || !strings.HasPrefix(m.Body, "Tip thanks you.") || !strings.HasSuffix(m.Body, "\nTip\n") || strings.Contains(m.Body, "arbour") {
		t.Errorf("to the sub-brand: got %s %s\n%s", m.FromName, m.From, m.Body)
	}
	for _, to := range []string{"report@harbour.example", ""} {
		s.to = to
		m = s.answerTo(s.report(nothing))
		if m.From != s.cfg.AnswerFrom || m.FromName != "Harbour Telecom" || !strings.Contains(m.Body, "https://safe.harbour.example/r/") || !strings.HasPrefix(m.Body, "Thank you for your report.") {
			t.Errorf("to %q: got %s %s\n%s", to, m.FromName, m.From, m.Body)
		}
	}

	// The brand was given up while its report waited: the operator answers.
	s.to = "suspect@tip.example"
	s.cfg.Voices = []Voice{tip}
	late := s.report(lure("Your card is stopped", "https://login.anchorbank-pay7.example/in"))
	s.cfg.Voices = nil
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Write(t.Context(), store.Intake, func(tx *store.Tx) error { return s.settle(tx, late, true) }); err != nil {
		t.Fatal(err)
	}
	if m = s.answerTo(late); m.FromName != "Harbour Telecom" {
		t.Errorf("a brand that is gone: got %s", m.FromName)
	}
	// No answer ever goes to an address of ours, of whichever brand.
	if got := (Config{Voices: []Voice{tip}}).ours(); len(got) != 3 {
		t.Errorf("own addresses: got %v", got)
	}
}
