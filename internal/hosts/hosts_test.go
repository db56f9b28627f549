package hosts_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/hosts"
	"bolwerk/internal/join"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
)

var start = time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)

func open(t *testing.T) (*hosts.List, *store.DB) {
	t.Helper()
	db := storetest.Open(t, clock.NewFake(start), audit.Schema(), hosts.Schema())
	return hosts.New(db), db
}

func invite(t *testing.T, l *hosts.List, id, name string) {
	t.Helper()
	err := l.Invite(t.Context(), join.Invitation{ID: id, Hash: "hash of " + id, Name: name, Role: join.Edge, Expires: start.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
}

func redeem(l *hosts.List, id, key string) (join.Identity, error) {
	return l.Redeem(context.Background(), "hash of "+id, key, start)
}

func TestAnInvitationLetsOneMachineIn(t *testing.T) {
	l, _ := open(t)
	invite(t, l, "inv-1", "edge-1")
	if err := l.Admit(t.Context(), join.Identity{Name: "edge-1", Role: join.Edge, Join: "inv-1"}); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("admitted before it came: %v", err)
	}
	id, err := redeem(l, "inv-1", "key-1")
	if want := (join.Identity{Name: "edge-1", Role: join.Edge, Join: "inv-1"}); err != nil || id != want {
		t.Fatalf("got %+v, %v, want %+v", id, err, want)
	}
	if err := l.Admit(t.Context(), id); err != nil {
		t.Error(err)
	}
	if again, err := redeem(l, "inv-1", "key-1"); err != nil || again != id {
		t.Errorf("the same machine, whose first answer was lost: %+v, %v", again, err)
	}
	if _, err := redeem(l, "inv-1", "key-2"); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("another machine: %v", err)
	}
	if _, err := redeem(l, "inv-9", "key-1"); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("an invented secret: %v", err)
	}
	for _, other := range []join.Identity{{Name: "edge-1", Role: join.Intake, Join: "inv-1"}, {Name: "edge-2", Role: join.Edge, Join: "inv-1"}, {Name: "edge-1", Role: join.Edge, Join: "inv-0"}} {
		if err := l.Admit(t.Context(), other); !errors.Is(err, bolwerk.ErrForbidden) {
			t.Errorf("%+v: %v", other, err)
		}
	}
}

func TestAnInvitationEnds(t *testing.T) {
	l, _ := open(t)
	invite(t, l, "inv-1", "edge-1")
	if _, err := l.Redeem(t.Context(), "hash of inv-1", "key-1", start.Add(time.Hour+time.Second)); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestAHostThatWasPutOutStaysOut(t *testing.T) {
	l, _ := open(t)
	invite(t, l, "inv-1", "edge-1")
	id, err := redeem(l, "inv-1", "key-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Revoke(t.Context(), bolwerk.Person("anna"), "edge-1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Admit(t.Context(), id); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("admitted: %v", err)
	}
	if _, err := redeem(l, "inv-1", "key-1"); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("came in again by its old line: %v", err)
	}
	if err := l.Revoke(t.Context(), bolwerk.Person("anna"), "edge-1"); !errors.Is(err, bolwerk.ErrNotFound) {
		t.Errorf("put out twice: %v", err)
	}
}

func TestAHostThatJoinsAgainEndsItsOlderLife(t *testing.T) {
	l, _ := open(t)
	invite(t, l, "inv-1", "edge-1")
	old, err := redeem(l, "inv-1", "key-1")
	if err != nil {
		t.Fatal(err)
	}
	invite(t, l, "inv-2", "edge-1")
	if err := l.Admit(t.Context(), old); err != nil {
		t.Errorf("an invitation alone ended it: %v", err)
	}
	now, err := redeem(l, "inv-2", "key-2")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Admit(t.Context(), now); err != nil {
		t.Error(err)
	}
	if err := l.Admit(t.Context(), old); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("its older certificate: %v", err)
	}
	if _, err := redeem(l, "inv-1", "key-1"); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("its older line: %v", err)
	}
}

func TestTheListAndTheTrailNameEachHost(t *testing.T) {
	l, db := open(t)
	for _, name := range []string{"b", "a"} {
		invite(t, l, "inv-"+name, name)
		if _, err := redeem(l, "inv-"+name, "key"); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Revoke(t.Context(), bolwerk.Person("anna"), "b"); err != nil {
		t.Fatal(err)
	}
	all, err := l.All(t.Context())
	if err != nil || len(all) != 2 || all[0].Name != "a" || all[0].State != "in" || all[0].Role != "edge" || !all[0].JoinedAt.Equal(start) || all[1].State != "revoked" {
		t.Errorf("got %+v, %v", all, err)
	}
	if n, err := audit.Verify(t.Context(), db, nil); n != 5 || err != nil {
		t.Errorf("%d entries in the trail, %v, want 5: invited and joined twice, put out once", n, err)
	}
}

func TestEveryHostThatIsInIsAskedToReplay(t *testing.T) {
	l, db := open(t)
	for _, name := range []string{"a", "b"} {
		invite(t, l, "inv-"+name, name)
		if _, err := redeem(l, "inv-"+name, "key"); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Revoke(t.Context(), bolwerk.Socket(), "b"); err != nil {
		t.Fatal(err)
	}
	var last string
	for i := range 2 {
		since := start.Add(-time.Duration(i+1) * time.Hour)
		if err := db.Write(t.Context(), store.Decision, func(tx *store.Tx) error { return hosts.AskReplay(tx, since) }); err != nil {
			t.Fatal(err)
		}
		id, from, err := l.Replay(t.Context(), "a")
		if err != nil || id == "" || id == last || !from.Equal(since) {
			t.Errorf("wish %q since %v, %v, want a new one since %v", id, from, err, since)
		}
		// How far it is, is known until it is done; a wish before is no news.
		for _, far := range []hosts.Replayed{{Items: 200}, {Items: 350, Done: true}, {Items: 9}} {
			if err := l.Replayed(t.Context(), "a", id, far.Items, far.Done); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Replayed(t.Context(), "a", last, 1, false); err != nil {
			t.Fatal(err)
		}
		if err := db.Read(t.Context(), func(tx *store.Tx) error {
			all, err := hosts.Replays(tx)
			if len(all) != 1 || all[0] != (hosts.Replayed{Host: "a", Items: 350, Done: true}) {
				t.Errorf("got %+v", all)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		last = id
		if id, _, err := l.Replay(t.Context(), "b"); id != "" || err != nil {
			t.Errorf("a host that is out is asked: %q, %v", id, err)
		}
	}
}
