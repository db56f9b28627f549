package view

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/session"
	"bolwerk/internal/copy"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
)

func holdOf(id, subscriber string, p enforce.Profile, until time.Time) Hold {
	return Hold{ID: id, Subscriber: subscriber, Profile: p, Until: until, Guest: garden.Guest{Quarantine: id, Ref: "Q-2026-000001", Class: "malicious-code/infected-system", Until: until, State: "active"}}
}

func write(t *testing.T, v *Views, f func(*store.Tx) error) {
	t.Helper()
	if err := v.db.Write(t.Context(), store.Decision, f); err != nil {
		t.Fatal(err)
	}
}

// pages is what the copy of gardens says, by prefix.
func pages(t *testing.T, p *publish.Desk) map[string]garden.Guest {
	t.Helper()
	out := map[string]garden.Guest{}
	if err := p.Snapshot(t.Context(), garden.Copy, func(copy.Head) error { return nil }, func(e copy.Entry) error {
		var g garden.Guest
		err := json.Unmarshal(e.Body, &g)
		if out[e.ID] = g; e.Until == 0 {
			t.Errorf("%s has no end", e.ID)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAHoldFollowsTheSubscriberAndNobodyElse(t *testing.T) {
	v, w, p, _ := desk(t)
	at := noon.Add(-time.Minute)
	next := func() time.Time { at = at.Add(time.Second); return at }
	if _, err := v.Set(t.Context(), bolwerk.Socket(), "anna", "opt_out", time.Time{}, ""); err != nil {
		t.Fatal(err)
	}
	take(t, w, session.Start, "anna", "1", next(), "198.51.100.7/32")
	take(t, w, session.Start, "bert", "2", next(), "198.51.100.8/32")
	until := noon.Add(30 * 24 * time.Hour)
	h := holdOf("q1", "anna", enforce.Leaky, until)
	write(t, v, func(tx *store.Tx) error { return v.Hold(tx, h) })
	if got := told(t, p); got["198.51.100.7/32"] != "garden_leaky" || got["198.51.100.8/32"] != "" {
		t.Fatalf("told %v, want a garden for anna, over what she chose, and none for bert", got)
	}
	if got := pages(t, p); got["198.51.100.7/32"].Quarantine != "q1" || len(got) != 1 {
		t.Fatalf("pages %v", got)
	}
	h.Guest.State = "asked"
	write(t, v, func(tx *store.Tx) error { return v.Hold(tx, h) })
	if g, err := v.Guest(t.Context(), "q1"); err != nil || g.State != "asked" {
		t.Errorf("the helpdesk sees %+v, %v", g, err)
	}
	if _, err := v.Guest(t.Context(), "q2"); !errors.Is(err, bolwerk.ErrNotFound) {
		t.Errorf("of a quarantine that there is not: %v", err)
	}
	if got := pages(t, p); got["198.51.100.7/32"].State != "asked" {
		t.Errorf("the page says %q after it changed", got["198.51.100.7/32"].State)
	}
	take(t, w, session.Stop, "anna", "1", next(), "198.51.100.7/32")
	take(t, w, session.Start, "bert", "3", next(), "198.51.100.7/32")
	if got := told(t, p); got["198.51.100.7/32"] != "" || len(pages(t, p)) != 0 {
		t.Errorf("told %v, pages %v: bert inherits", got, pages(t, p))
	}
	take(t, w, session.Start, "anna", "4", next(), "198.51.100.9/32")
	if got := told(t, p); got["198.51.100.9/32"] != "garden_leaky" || len(pages(t, p)) != 1 {
		t.Errorf("told %v: it does not follow her", got)
	}
	write(t, v, func(tx *store.Tx) error { return v.Hold(tx, holdOf("q2", "anna", enforce.Strict, until)) })
	if got := told(t, p); got["198.51.100.9/32"] != "garden_strict" || pages(t, p)["198.51.100.9/32"].Quarantine != "q2" {
		t.Errorf("told %v: of two holds the strict one counts", got)
	}
	write(t, v, func(tx *store.Tx) error { return v.Free(tx, "q2") })
	if got := told(t, p); got["198.51.100.9/32"] != "garden_leaky" || pages(t, p)["198.51.100.9/32"].Quarantine != "q1" {
		t.Errorf("told %v: the other hold is there yet", got)
	}
	write(t, v, func(tx *store.Tx) error { return v.Free(tx, "q1") })
	write(t, v, func(tx *store.Tx) error { return v.Free(tx, "q1") }) // twice is nothing
	if got := told(t, p); got["198.51.100.9/32"] != "opt_out" || len(pages(t, p)) != 0 {
		t.Errorf("told %v, pages %v: freed, she has what she chose", got, pages(t, p))
	}
	take(t, w, session.Start, "cleo", "5", next(), "100.64.0.9/32")
	write(t, v, func(tx *store.Tx) error { return v.Hold(tx, holdOf("q3", "cleo", enforce.Strict, until)) })
	if got := told(t, p); got["100.64.0.9/32"] != "" || len(pages(t, p)) != 0 {
		t.Errorf("told %v: behind a translator is nobody's line", got)
	}
}

func TestAHoldEndsByItself(t *testing.T) {
	v, w, p, c := desk(t)
	take(t, w, session.Start, "anna", "1", noon, "198.51.100.7/32")
	end := noon.Add(20 * time.Minute)
	write(t, v, func(tx *store.Tx) error { return v.Hold(tx, holdOf("q1", "anna", enforce.Leaky, end)) })
	if err := p.Snapshot(t.Context(), garden.Copy, func(copy.Head) error { return nil }, func(e copy.Entry) error {
		if e.Until != end.UnixMicro() {
			t.Errorf("edges keep it until %s, want %s", time.UnixMicro(e.Until), end)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	c.Add(20*time.Minute + time.Second)
	if err := v.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	take(t, w, session.Interim, "anna", "1", c.Now(), "198.51.100.7/32")
	if got := told(t, p); got["198.51.100.7/32"] != "" || len(pages(t, p)) != 0 {
		t.Errorf("told %v, pages %v: it is over", got, pages(t, p))
	}
}

func TestAHoldOutlivesItsMonth(t *testing.T) {
	v, w, p, c := desk(t)
	write(t, v, func(tx *store.Tx) error {
		return v.Hold(tx, holdOf("q1", "anna", enforce.Leaky, noon.AddDate(0, 0, 30)))
	})
	c.Add(6 * 24 * time.Hour)
	if err := v.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	take(t, w, session.Start, "anna", "1", c.Now(), "198.51.100.7/32")
	if got := told(t, p); got["198.51.100.7/32"] != "garden_leaky" {
		t.Errorf("told %v in the next month", got)
	}
}

// A choice that cannot be read keeps nobody in the garden, and accounting goes on: who made
// it has the default.
func TestAChoiceThatCannotBeReadHoldsUpNothing(t *testing.T) {
	v, w, p, c := desk(t)
	for _, name := range []string{"anna", "bert"} {
		if _, err := v.Set(t.Context(), bolwerk.Socket(), name, "opt_out", time.Time{}, ""); err != nil {
			t.Fatal(err)
		}
	}
	take(t, w, session.Start, "anna", "1", noon.Add(-time.Minute), "198.51.100.7/32")
	write(t, v, func(tx *store.Tx) error { return v.Hold(tx, holdOf("q1", "bert", enforce.Leaky, noon.Add(time.Hour))) })
	take(t, w, session.Start, "bert", "2", noon.Add(-time.Minute), "198.51.100.8/32")
	write(t, v, func(tx *store.Tx) error {
		if _, err := tx.Exec(`update abuse_view set subscriber_sealed=$1 where id in (select choice from abuse_view_line where nas='bng1')`, []byte("spoilt")); err != nil {
			return err
		}
		_, err := tx.Exec(`update abuse_view_turn set turn=$1`, another()) // as after a restart
		return err
	})
	write(t, v, func(tx *store.Tx) error { return v.Free(tx, "q1") })
	c.Add(time.Minute)
	take(t, w, session.Interim, "anna", "1", c.Now(), "198.51.100.7/32")
	if got := told(t, p); got["198.51.100.7/32"] != "" || got["198.51.100.8/32"] != "opt_out" {
		t.Errorf("told %v, want the default for anna, and what he chose for bert", got)
	}
}

func TestAHoldIsRefused(t *testing.T) {
	v, _, _, _ := desk(t)
	long := holdOf("q1", "anna", enforce.Leaky, noon.Add(time.Hour))
	long.Guest.Done = []string{string(make([]byte, maxGuest))}
	other := holdOf("q1", "anna", enforce.Leaky, noon.Add(time.Hour))
	other.Guest.Quarantine = "q2"
	for _, h := range []Hold{holdOf("", "anna", enforce.Leaky, noon.Add(time.Hour)), holdOf("q1", "", enforce.Leaky, noon.Add(time.Hour)),
		holdOf("q1", "anna", enforce.Normal, noon.Add(time.Hour)), holdOf("q1", "anna", enforce.Leaky, noon), long, other} {
		if err := v.db.Write(context.Background(), store.Decision, func(tx *store.Tx) error { return v.Hold(tx, h) }); err == nil {
			t.Errorf("%+v was taken", h)
		}
	}
}
