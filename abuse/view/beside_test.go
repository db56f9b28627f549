package view

import (
	"net/netip"
	"testing"
	"time"

	"bolwerk/abuse/enforce"
	"bolwerk/abuse/session"
	"bolwerk/abuse/who"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
)

// A decision beside a batch of accounting: on PostgreSQL both run at once.
func TestADecisionBesideABatchMissesNothing(t *testing.T) {
	if !storetest.Postgres() {
		t.Skip("an embedded store has one writer: make pg runs this")
	}
	const a, b = "198.51.100.7/32", "198.51.100.9/32"
	until := noon.Add(24 * time.Hour)
	record := func(kind session.Kind, subscriber, id, net string) session.Record {
		return session.Record{Kind: kind, Source: session.Radius, NAS: "bng1", Session: id, Identity: session.Identity{Subscriber: subscriber}, At: noon, Lasted: -1, Prefixes: []netip.Prefix{netip.MustParsePrefix(net)}}
	}
	bertTakesOver := []session.Record{record(session.Stop, "anna", "1", a), record(session.Start, "bert", "2", a)}
	annaHasAnother := []session.Record{record(session.Start, "anna", "3", b)}
	hold := func(v *Views, tx *store.Tx) error { return v.Hold(tx, holdOf("q1", "anna", enforce.Leaky, until)) }
	free := func(v *Views, tx *store.Tx) error { return v.Free(tx, "q1") }
	for _, c := range []struct {
		name    string
		held    bool // before
		records []session.Record
		decide  func(*Views, *store.Tx) error
		line    string
	}{
		{"a hold does not stay with who has the address next", false, bertTakesOver, hold, a},
		{"a release reaches a session that begins", true, annaHasAnother, free, b},
	} {
		for _, batchFirst := range []bool{true, false} {
			first := "the decision first"
			if batchFirst {
				first = "the batch first"
			}
			t.Run(c.name+"/"+first, func(t *testing.T) {
				v, w, p, _ := desk(t)
				// pause holds the first of the two up, once it has done what it does.
				inside, goOn, armed := make(chan struct{}), make(chan struct{}), false
				pause := func() {
					if armed {
						armed = false
						close(inside)
						<-goOn
					}
				}
				w.Follow(func(*store.Tx, who.Told) error {
					if batchFirst {
						pause()
					}
					return nil
				})
				take(t, w, session.Start, "anna", "1", noon.Add(-time.Minute), a)
				if c.held {
					write(t, v, func(tx *store.Tx) error { return hold(v, tx) })
				}
				armed = true
				batch := func() error { return w.Take(t.Context(), c.records) }
				decision := func() error {
					return v.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
						err := c.decide(v, tx)
						if !batchFirst {
							pause()
						}
						return err
					})
				}
				one, other := decision, batch
				if batchFirst {
					one, other = batch, decision
				}
				ended, late := make(chan error, 1), make(chan error, 1)
				go func() { ended <- one() }()
				<-inside
				go func() { late <- other() }()
				select {
				case err := <-late: // it did not wait: then it has seen nothing of the first
					late <- err
				case <-time.After(300 * time.Millisecond):
				}
				close(goOn)
				for _, c := range []chan error{ended, late} {
					if err := <-c; err != nil {
						t.Fatal(err)
					}
				}
				if got := told(t, p)[c.line]; got != "" {
					t.Errorf("%s has the view %q, want none", c.line, got)
				}
			})
		}
	}
}
