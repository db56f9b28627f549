package app

import (
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/contact"
	"bolwerk/abuse/session"
	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
	"bolwerk/internal/vault"
)

// builtDesk is a desk in a folder of its own, that does not run.
func builtDesk(t *testing.T, url, data string, c clock.Clock) (*Desk, error) {
	t.Helper()
	cfg := Default()
	cfg.Data, cfg.Operator, cfg.Store.URL = data, "Example Telecom", url
	cfg.Console.Listen, cfg.Hosts.Listen, cfg.RPZ.Listen, cfg.Mail.Outbox = "127.0.0.1:0", "127.0.0.1:0", free(t), t.TempDir()
	env := NewEnv(slog.New(slog.DiscardHandler))
	env.Clock = c
	env.Reader = func() *exec.Cmd { return exec.Command("true") }
	d, err := BuildDesk(t.Context(), cfg, env)
	if err == nil {
		t.Cleanup(func() { d.db.Close() })
	}
	return d, err
}

// What a copy of the folder of keys holds opens what is sealed in the next months, for
// everything that is sealed: the copy is made after the first start.
func TestTheKeysOfTheNextMonthsAreThereFromTheStart(t *testing.T) {
	c := clock.NewFake(time.Date(2026, 11, 27, 13, 0, 0, 0, time.UTC))
	data := t.TempDir()
	d, err := builtDesk(t, storetest.URL(t), data, c)
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(data, "desk", "keys")
	for _, name := range keyNames {
		for _, month := range []string{"2026-11", "2026-12", "2027-01"} {
			for _, at := range []string{name, filepath.Join(name, "kept")} {
				if _, err := os.Stat(filepath.Join(keys, at, month+".key")); err != nil {
					t.Error(err)
				}
			}
		}
	}
	all, err := os.ReadDir(keys)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if e.IsDir() && !slices.Contains(keyNames, e.Name()) {
			t.Errorf("keys of %s are not among keyNames", e.Name())
		}
	}
	if len(d.months) != len(keyNames) {
		t.Errorf("%d names have their keys made ahead, want %d", len(d.months), len(keyNames))
	}
}

func TestTwoDesksReadWhatTheOtherSealed(t *testing.T) {
	if !storetest.Postgres() {
		t.Skip("an embedded store has one desk: make pg runs this")
	}
	c := clock.NewFake(time.Date(2026, 11, 27, 13, 0, 0, 0, time.UTC))
	url, first, second := storetest.URL(t), t.TempDir(), t.TempDir()
	a, err := builtDesk(t, url, first, c)
	if err != nil {
		t.Fatal(err)
	}
	bring := func() error {
		return os.CopyFS(filepath.Join(second, "desk", "keys"), os.DirFS(filepath.Join(first, "desk", "keys")))
	}
	if err := bring(); err != nil {
		t.Fatal(err)
	}
	b, err := builtDesk(t, url, second, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"ziekenhuis@klant.example", "apotheek@klant.example", "alarmcentrale@klant.example"} {
		if err := a.contacts.Put(t.Context(), bolwerk.Task("test"), "", []contact.Entry{{Subscriber: who, Flags: contact.Flags{Never: true}}}); err != nil {
			t.Fatal(err)
		}
		err := b.db.Read(t.Context(), func(tx *store.Tx) error {
			flags, err := b.contacts.Flags(tx, session.Identity{Subscriber: who})
			if !flags.Never {
				t.Errorf("%s: the other desk does not know that %s is never put in quarantine", vault.Month(c.Now()), who)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		for i, v := range b.months {
			for from, to := range map[*vault.Vault]*vault.Vault{a.months[i]: v, v.Kept(): a.months[i].Kept()} {
				box, err := from.Seal("x", []byte("y"))
				if err != nil {
					t.Fatal(err)
				}
				if got, err := to.Open("x", box); err != nil || string(got) != "y" {
					t.Errorf("%s, keys number %d: %q, %v", vault.Month(c.Now()), i, got, err)
				}
			}
		}
		c.Add(31 * 24 * time.Hour)
	}

	// Each name has its own say: a third desk without one key of this month does not start.
	a.makeAhead()
	third := t.TempDir()
	if err := os.CopyFS(filepath.Join(third, "desk", "keys"), os.DirFS(filepath.Join(first, "desk", "keys"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(third, "desk", "keys", "privacy", "2027-02.key")); err != nil {
		t.Fatal(err)
	}
	_, err = builtDesk(t, url, third, c)
	if !errors.Is(err, bolwerk.ErrConflict) || !strings.Contains(err.Error(), "privacy/2027-02") {
		t.Errorf("got %v, want a refusal that names the key", err)
	}
}

// One desk forgets the rows of all; the keys go at each.
func TestADeskThatDoesNotForgetDestroysItsKeys(t *testing.T) {
	c := clock.NewFake(time.Date(2026, 11, 27, 13, 0, 0, 0, time.UTC))
	data := t.TempDir()
	d, err := builtDesk(t, storetest.URL(t), data, c)
	if err != nil {
		t.Fatal(err)
	}
	name := func(of, month string) string { return filepath.Join(data, "desk", "keys", of, month+".key") }
	over := []string{"views", "contacts", "privacy"}
	for _, of := range over {
		if err := os.WriteFile(name(of, "2024-10"), make([]byte, 32), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d.destroyOver(t.Context())
	for _, of := range over {
		if _, err := os.Stat(name(of, "2024-10")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the key of %s of 2024 is here: %v", of, err)
		}
		if _, err := os.Stat(name(of, "2026-11")); err != nil {
			t.Error(err)
		}
	}

	// What is still needed stays.
	if err := plant(d.db, "abuse_view", map[string]any{"id": "v", "view": "opt_out", "month": "2026-11", "at": store.Micros(c.Now())}); err != nil {
		t.Fatal(err)
	}
	if err := plant(d.db, "privacy_request", map[string]any{"id": "r", "kind": "export", "state": "waits", "asked_by": "socket:admin", "asked_at": store.Micros(c.Now())}); err != nil {
		t.Fatal(err)
	}
	c.Add(31 * 24 * time.Hour)
	d.destroyOver(t.Context())
	for _, of := range over {
		if _, err := os.Stat(name(of, "2026-11")); err != nil {
			t.Error(err)
		}
	}
}

func TestARestoreNamesTheKeysThatAreNotThere(t *testing.T) {
	cfg := Default()
	cfg.Data, cfg.Store.URL = t.TempDir(), storetest.URL(t)
	c := clock.NewFake(time.Date(2026, 11, 27, 13, 0, 0, 0, time.UTC))
	db := storetest.OpenAt(t, cfg.Store.URL, c, Schemas()...)
	for name, what := range map[string]struct {
		table string
		vals  map[string]any
	}{
		"columns":  {"desk_notice", map[string]any{"id": "n", "state": "waiting", "to_sealed": nil}},
		"contacts": {"abuse_contact", map[string]any{"mark": "m", "month": "2026-11", "detail_sealed": nil}},
		"sessions": {"abuse_case", map[string]any{"case_id": "c", "mark": "m", "who_sealed": nil}},
	} {
		v, err := keysOf(cfg, name, c)
		if err != nil {
			t.Fatal(err)
		}
		if name == "sessions" {
			v = v.Kept()
		}
		box, err := v.Seal("x", []byte("y"))
		if err != nil {
			t.Fatal(err)
		}
		for col, val := range what.vals {
			if val == nil {
				what.vals[col] = box
			}
		}
		if err := plant(db, what.table, what.vals); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := MissingKeys(t.Context(), cfg); err != nil || len(got) != 0 {
		t.Errorf("missing %q, %v; all are there", got, err)
	}
	if err := os.RemoveAll(filepath.Join(cfg.Data, "desk", "keys", "sessions", "kept")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(cfg.Data, "desk", "keys", "contacts", "2026-11.key")); err != nil {
		t.Fatal(err)
	}
	if got, err := MissingKeys(t.Context(), cfg); err != nil || !slices.Equal(got, []string{"contacts/2026-11", "sessions/kept/2026-11"}) {
		t.Errorf("missing %q, %v", got, err)
	}
}
