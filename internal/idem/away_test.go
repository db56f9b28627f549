package idem

import (
	"net/http"
	"testing"

	"bolwerk/internal/store/storetest"
)

// A request that ends while the store is away leaves its claim behind: the same
// process knows that it is over.
func TestAClaimThatCouldNotBeReleasedIsTakenAgain(t *testing.T) {
	s := open(t)
	live, away := s.db, storetest.Open(t, s.clock, Schema())
	away.Close()
	calls := 0
	h := s.Wrap(func(*http.Request) string { return "p" }, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls == 1 {
			s.db = away
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}))
	if w := post(h, "k", "x", "p"); w.Code != http.StatusInternalServerError {
		t.Fatalf("the store goes away: %d", w.Code)
	}
	s.db = live
	if w := post(h, "k", "x", "p"); w.Code != http.StatusCreated {
		t.Errorf("the same request when the store is back: %d %s, want it done", w.Code, w.Body)
	}
	if w := post(h, "k", "x", "p"); w.Code != http.StatusCreated || calls != 2 {
		t.Errorf("once more: %d after %d calls, want the kept answer", w.Code, calls)
	}
}
