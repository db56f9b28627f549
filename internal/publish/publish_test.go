package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/copy"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
)

var start = time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)

const name = "blocks"

type desk struct {
	*Desk
	time *clock.Fake
}

func open(t *testing.T, url string) desk {
	t.Helper()
	c := clock.NewFake(start)
	return desk{New(storetest.OpenAt(t, url, c, audit.Schema(), Schema()), "Voorbeeld Telecom"), c}
}

func entry(id string, version int64) copy.Entry {
	return copy.Entry{ID: id, Version: version, Body: json.RawMessage(fmt.Sprintf(`{"v":%d}`, version))}
}

func gone(id string, version int64) copy.Entry {
	return copy.Entry{ID: id, Version: version, Removed: true}
}

func (d desk) publish(t *testing.T, entries ...copy.Entry) {
	t.Helper()
	if err := d.try(store.Decision, entries...); err != nil {
		t.Fatal(err)
	}
}

func (d desk) try(lane store.Lane, entries ...copy.Entry) error {
	return d.db.Write(context.Background(), lane, func(tx *store.Tx) error {
		for _, e := range entries {
			d.Append(tx, name, e, nil)
		}
		return nil
	})
}

func (d desk) head(t *testing.T) copy.Head {
	t.Helper()
	h, err := d.Head(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (d desk) since(t *testing.T, epoch, serial int64) ([]copy.Step, bool) {
	t.Helper()
	steps, complete, err := d.Since(t.Context(), name, epoch, serial, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return steps, complete
}

func (d desk) snapshot(t *testing.T) (h copy.Head, versions map[string]int64) {
	t.Helper()
	versions = map[string]int64{}
	err := d.Snapshot(t.Context(), name, func(is copy.Head) error { h = is; return nil }, func(e copy.Entry) error { versions[e.ID] = e.Version; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return h, versions
}

// follow replays the publications after a head as a host does, and compares.
func (d desk) follow(t *testing.T, from copy.Head, versions map[string]int64) {
	t.Helper()
	steps, complete := d.since(t, from.Epoch, from.Serial)
	if !complete {
		t.Fatalf("publications after %d are not complete", from.Serial)
	}
	digest, serial := from.Digest, from.Serial
	for _, s := range steps {
		b, err := copy.DecodeBatch(s.Body)
		if err != nil {
			t.Fatal(err)
		}
		serial++
		digest = copy.NextDigest(digest, s.Body)
		for _, e := range b.Entries {
			if e.Removed {
				delete(versions, e.ID)
			} else {
				versions[e.ID] = e.Version
			}
		}
		if s.Serial != serial || b.Serial != serial || b.Epoch != from.Epoch || s.Digest != digest || s.Count != int64(len(versions)) {
			t.Errorf("publication %d: epoch %d, serial %d, digest %.8s, count %d; a host has serial %d, digest %.8s, count %d",
				s.Serial, b.Epoch, b.Serial, s.Digest, s.Count, serial, digest, len(versions))
		}
	}
	h, have := d.snapshot(t)
	if h.Serial != serial || h.Digest != digest || h.Count != int64(len(have)) || !maps.Equal(have, versions) {
		t.Errorf("the desk stands at %d %.8s with %v, a host that followed at %d %.8s with %v", h.Serial, h.Digest, have, serial, digest, versions)
	}
}

func TestAHostThatFollowsHoldsWhatTheDeskHolds(t *testing.T) {
	d := open(t, storetest.URL(t))
	empty := d.head(t)
	if empty.Epoch != 1 || empty.Serial != 1 || empty.Count != 0 || empty.Operator != "Voorbeeld Telecom" || empty.Audit != "0:" || !empty.Fresh.After(start) {
		t.Errorf("before the first publication: %+v", empty)
	}
	d.publish(t, entry("a", 1), entry("b", 1))
	d.publish(t, entry("a", 2), gone("b", 2), gone("never there", 1), entry("c", 1))
	d.publish(t, gone("c", 2))
	d.publish(t, entry("c", 3), gone("c", 4), entry("c", 5))
	if h := d.head(t); h.Serial != empty.Serial+4 {
		t.Errorf("four transactions made serial %d", h.Serial)
	}
	d.follow(t, empty, map[string]int64{})
	middle, have := d.snapshot(t)
	d.publish(t, entry("d", 1))
	d.follow(t, middle, have)
}

func TestWhoeverPublishesIsToldTheSerial(t *testing.T) {
	d := open(t, storetest.URL(t))
	d.publish(t, entry("a", 1))
	var got [][2]int64
	err := d.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
		for _, id := range []string{"b", "c"} {
			d.Append(tx, name, entry(id, 1), func(tx *store.Tx, epoch, serial int64) error {
				got = append(got, [2]int64{epoch, serial})
				audit.Append(tx, bolwerk.Socket(), "told", id, "", nil)
				return nil
			})
		}
		audit.Append(tx, bolwerk.Socket(), "before", "x", "", nil)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := [][2]int64{{1, 3}, {1, 3}}; !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
	if h := d.head(t); h.Audit[:2] != "3:" {
		t.Errorf("audit head %s, want three entries: what is told of a publication is audited too", h.Audit)
	}
}

func TestAPublicationThatIsUndoneWakesNobodyAndTakesNoSerial(t *testing.T) {
	d := open(t, storetest.URL(t))
	changed := d.Changed(name)
	refused := errors.New("refused")
	err := d.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
		d.Append(tx, name, entry("a", 1), func(*store.Tx, int64, int64) error { return refused })
		return nil
	})
	if !errors.Is(err, refused) {
		t.Fatalf("got %v, want %v", err, refused)
	}
	select {
	case <-changed:
		t.Error("woken")
	default:
	}
	if h := d.head(t); h.Serial != 1 || h.Count != 0 {
		t.Errorf("stands at %d with %d entries", h.Serial, h.Count)
	}
	d.publish(t, entry("a", 1))
	<-changed
	if h := d.head(t); h.Serial != 2 {
		t.Errorf("stands at %d, want 2", h.Serial)
	}
}

func TestWhoWasAwayTooLongNeedsASnapshot(t *testing.T) {
	d := open(t, storetest.URL(t))
	d.publish(t, entry("a", 1))
	d.time.Add(Keep + time.Minute)
	d.publish(t, entry("b", 1))
	if err := d.db.Write(t.Context(), store.Intake, func(tx *store.Tx) error {
		n, err := d.Expire(tx)
		if n != 1 {
			t.Errorf("%d publications forgotten, want 1", n)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		epoch, serial int64
		steps         int
		complete      bool
	}{
		{1, 1, 1, false}, // the first is forgotten
		{1, 2, 1, true},
		{1, 3, 0, true},
		{1, 4, 0, false}, // ahead of us
		{2, 1, 0, false}, // another life
		{0, 0, 0, false},
	} {
		steps, complete := d.since(t, c.epoch, c.serial)
		if complete != c.complete || complete && len(steps) != c.steps {
			t.Errorf("since %d/%d: %d publications, complete %t; want %d, %t", c.epoch, c.serial, len(steps), complete, c.steps, c.complete)
		}
	}
	if _, have := d.snapshot(t); !maps.Equal(have, map[string]int64{"a": 1, "b": 1}) {
		t.Errorf("a snapshot has %v", have)
	}
}

func TestTwoDesksPublishOneLine(t *testing.T) {
	url := storetest.URL(t)
	desks := []desk{open(t, url), open(t, url)}
	empty := desks[0].head(t)
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			if err := desks[i%2].try(store.Lane(i/2%2), entry(fmt.Sprint(i%7), int64(i)), gone(fmt.Sprint((i+3)%7), int64(i))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	desks[1].follow(t, empty, map[string]int64{})
	// A batch of the intake lane is one transaction, so one serial.
	if h := desks[0].head(t); h.Serial <= 20 || h.Serial > 41 {
		t.Errorf("40 writes made serial %d", h.Serial)
	}
}

func TestAnEntryThatIsInForceIsFound(t *testing.T) {
	d := open(t, storetest.URL(t))
	e := copy.Entry{ID: "a", Version: 3, From: 5, Until: 9, Body: json.RawMessage(`{"name":"bad.example"}`)}
	d.publish(t, e)
	err := d.db.Read(t.Context(), func(tx *store.Tx) error {
		got, err := Entry(tx, name, "a")
		if err != nil || got.ID != e.ID || got.Version != 3 || got.From != 5 || got.Until != 9 || string(got.Body) != string(e.Body) {
			t.Errorf("got %+v, %v", got, err)
		}
		_, err = Entry(tx, name, "b")
		if !errors.Is(err, bolwerk.ErrNotFound) {
			t.Errorf("an entry that is not there: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestANewEpochIsAboveEverything(t *testing.T) {
	d := open(t, storetest.URL(t))
	d.publish(t, entry("a", 1))
	changed := d.Changed(name)
	var epoch, serial int64
	if err := d.db.Write(t.Context(), store.Decision, func(tx *store.Tx) (err error) {
		epoch, serial, err = d.NewEpoch(tx, name, 6, 1000)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	<-changed
	if epoch != 7 || serial != 1001 {
		t.Errorf("epoch %d, serial %d, want 7 and 1001", epoch, serial)
	}
	old := copy.Head{Epoch: 1, Serial: 2}
	h := d.head(t)
	if !old.Before(h) || h.Previous != "" || h.Count != 1 {
		t.Errorf("head %+v", h)
	}
	if _, complete := d.since(t, 1, 2); complete {
		t.Error("a host of the old epoch goes on without a snapshot")
	}
	fresh, have := d.snapshot(t)
	d.publish(t, entry("b", 1))
	d.follow(t, fresh, have)
}

// After a restore the desk goes on from what the hosts hold.
func TestARestoredDeskGoesOnFromWhatTheHostsHold(t *testing.T) {
	d := open(t, storetest.URL(t))
	d.publish(t, entry("kept", 1), entry("withdrawn at one", 1), entry("backup only", 1), copy.Entry{ID: "over", Version: 1, Until: store.Micros(start) - 1, Body: json.RawMessage(`{}`)})
	write := func(fn func(*store.Tx) error) {
		t.Helper()
		if err := d.db.Write(t.Context(), store.Decision, fn); err != nil {
			t.Fatal(err)
		}
	}
	state := func(want string) {
		t.Helper()
		if got, _, err := d.Restoring(t.Context()); got != want || err != nil {
			t.Errorf("state %q (%v), want %q", got, err, want)
		}
	}
	state("")
	write(func(tx *store.Tx) error { _, err := d.BeginRestore(tx, name, []string{"public"}, 3); return err })
	state("asking")
	if h, have := d.snapshot(t); h.Epoch != 4 || h.Count != 0 || len(have) != 0 {
		t.Errorf("while hosts are asked: epoch %d, %v", h.Epoch, have)
	}
	write(func(tx *store.Tx) error {
		for _, r := range []struct {
			host, id string
			version  int64
			removed  bool
		}{
			{"edge-1", "kept", 2, false}, {"edge-2", "kept", 1, false},
			{"edge-1", "withdrawn at one", 5, false}, {"edge-2", "withdrawn at one", 2, true},
			{"edge-1", "hosts only", 1, false},
			{"edge-2", "came and went", 2, true},
		} {
			if _, err := tx.Exec(`insert into copy_seen(host,id,version,removed,vfrom,vuntil,body) values($1,$2,$3,$4,0,0,'{}')`, r.host, r.id, r.version, r.removed); err != nil {
				return err
			}
		}
		return nil
	})
	var adopted, withdrawn []string
	r, err := d.Reconcile(t.Context(), name, func(_ *store.Tx, e copy.Entry) error { adopted = append(adopted, e.ID); return nil },
		func(_ *store.Tx, id string) error { withdrawn = append(withdrawn, id); return nil })
	if err != nil || r != (Reconciled{Kept: 1, Recovered: 1, Withdrawn: 1, Held: 2}) {
		t.Errorf("got %+v, %v", r, err)
	}
	if !slices.Equal(adopted, []string{"hosts only"}) || !slices.Equal(withdrawn, []string{"withdrawn at one"}) {
		t.Errorf("adopted %q, withdrawn %q", adopted, withdrawn)
	}
	state("held")
	if _, have := d.snapshot(t); !maps.Equal(have, map[string]int64{"kept": 2, "hosts only": 1}) {
		t.Errorf("in force: %v", have)
	}
	if held, err := d.HeldBack(t.Context(), name); err != nil || len(held) != 2 {
		t.Errorf("held back: %v, %v", held, err)
	}
	write(func(tx *store.Tx) error {
		n, err := d.Release(tx, name)
		if n != 1 {
			t.Errorf("%d released, want the one that is not over", n)
		}
		return err
	})
	state("")
	if h, have := d.snapshot(t); !maps.Equal(have, map[string]int64{"kept": 2, "hosts only": 1, "backup only": 1}) || h.Count != 3 {
		t.Errorf("in force after the release: %v, count %d", have, h.Count)
	}
}
