package shield

import (
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/rpz"
)

// A decision between the two looks of a load must not end the desk.
func TestFeed_publication_while_it_loads(t *testing.T) {
	s := newShield(t)
	anna := s.person("anna", account.Analyst)
	block := func(name string) {
		t.Helper()
		if _, err := s.Confirm(t.Context(), Decider(anna), Confirm{Name: bolwerk.MustDomain(name), Reason: "seen"}); err != nil {
			t.Fatal(err)
		}
	}
	primary, err := rpz.New(rpz.DefaultConfig(), s.clock, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	block("one.example")
	f := NewFeed(s.publish, s.db, primary, nil, bolwerk.Domain{}, s.clock, slog.New(slog.DiscardHandler))
	if err := f.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := f.stand.Serial
	block("two.example")
	journals, _, err := f.history(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for z, j := range journals {
		if len(j) == 0 || int64(j[len(j)-1].Serial) != before {
			t.Errorf("zone %d: the journal is %v, the zone is at %d", z, j, before)
		}
	}
	if err := f.follow(t.Context()); err != nil || f.stand.Serial != before+1 {
		t.Errorf("then at %d, %v; want %d", f.stand.Serial, err, before+1)
	}
}
