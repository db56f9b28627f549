package shield

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/store"
	"bolwerk/shield/lists"
)

// stateOf is what is recorded of a list.
func (s *testShield) stateOf(list string) (state, why string) {
	s.t.Helper()
	err := s.db.Read(s.t.Context(), func(tx *store.Tx) error {
		return tx.Row(`select state,why from shield_list where name=$1`, list).Scan(&state, &why)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return state, why
}

// has says that a feed in use has a name.
func (s *testShield) has(list, name string) bool {
	for _, f := range s.guard.rules().feeds {
		if f.Name == list {
			return f.Set.Has(bolwerk.MustDomain(name))
		}
	}
	return false
}

func TestAFileIsReadAgainWhenItChanges(t *testing.T) {
	s := newShield(t)
	g, now := s.guard, time.Now()
	seen := g.look(now)
	again := func() {
		t.Helper()
		if err := g.again(t.Context(), s.db, now, seen); err != nil {
			t.Fatal(err)
		}
	}
	before := g.rules()
	again()
	if g.rules() != before {
		t.Error("nothing has changed, and the rules were made again")
	}
	s.file("feed.txt", "pay-parcel.example\nnew-parcel.example\n")
	again()
	if !s.has("partner", "new-parcel.example") || g.rules().versions["partner"] == before.versions["partner"] {
		t.Error("a file that has changed was not read")
	}
	// A list that could not be read before is there when its file is.
	if state, _ := s.stateOf("gone"); state != "failed" {
		t.Errorf("a file that is not there is %s", state)
	}
	s.file("gone.txt", "back.example\n")
	again()
	if state, _ := s.stateOf("gone"); state != "loaded" || !s.has("gone", "back.example") {
		t.Errorf("a file that came back is %s", state)
	}
	// One that vanishes, or has what none may have, leaves the last good one.
	if err := os.Remove(filepath.Join(s.dir, "gone.txt")); err != nil {
		t.Fatal(err)
	}
	s.file("feed.txt", "pay-parcel.example\ncom\n")
	again()
	if state, why := s.stateOf("partner"); state != "held" || !strings.Contains(why, "com") {
		t.Errorf("a list with com in it is %s: %s", state, why)
	}
	if !s.has("partner", "new-parcel.example") || !s.has("gone", "back.example") {
		t.Error("the last good list did not stay")
	}
}

// Lists are fetched from public addresses, and from networks that are allowed;
// where one leads on, only to public ones.
func TestListsAreFetchedThroughTheGate(t *testing.T) {
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "secret.example") }))
	defer inside.Close()
	hits := 0
	partner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hits++; r.URL.Path == "/on" {
			http.Redirect(w, r, inside.URL, http.StatusFound)
			return
		}
		fmt.Fprintln(w, "bad.example")
	}))
	defer partner.Close()
	list := func(path string) ListConfig {
		return ListConfig{Source: lists.Source{Name: "net", Kind: lists.Feed, Format: lists.Plain}, URL: partner.URL + path, Every: bolwerk.Duration(time.Minute), Tier: 2}
	}
	s := newShield(t)
	s.guard.cfg.Lists = []ListConfig{list("/list")}
	s.guard.refresh(t.Context(), s.db, list("/list"), s.guard.rules().psl)
	if state, why := s.stateOf("net"); state != "failed" || !strings.Contains(why, "no address of the public Internet") || hits != 0 {
		t.Errorf("a list on a private address is %s after %d requests: %s", state, hits, why)
	}

	s.guard.http = newFetcher([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	now := time.Now()
	seen := s.guard.look(now)
	for _, at := range []time.Duration{0, 59 * time.Second, 61 * time.Second, 62 * time.Second} {
		if err := s.guard.again(t.Context(), s.db, now.Add(at), seen); err != nil {
			t.Fatal(err)
		}
	}
	if state, why := s.stateOf("net"); state != "loaded" || hits != 1 || !s.has("net", "bad.example") {
		t.Errorf("an allowed list is %s after %d requests: %s", state, hits, why)
	}
	s.guard.refresh(t.Context(), s.db, list("/on"), s.guard.rules().psl)
	if state, why := s.stateOf("net"); state != "failed" || !strings.Contains(why, "no address of the public Internet") {
		t.Errorf("a list that leads on to a private address is %s: %s", state, why)
	}
	if err := s.takeURL(t.Context(), Issuer{Name: "cert", URL: partner.URL + "/on"}); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("orders that lead on to a private address: %v", err)
	}
}

func TestOnward(t *testing.T) {
	for _, c := range []struct {
		from, to, want string
		status         int
	}{
		{"https://a.example/x", "/y", "https://a.example/y", 302},
		{"http://a.example/x", "https://b.example/", "https://b.example/", 308},
		{"https://a.example/x", "http://a.example/y", "", 301},
		{"https://a.example/x", "file:///etc/passwd", "", 301},
		{"https://a.example/x", "", "", 301},
		{"https://a.example/x", "/y", "", 404},
	} {
		r := httptest.NewRequest("GET", c.from, nil)
		got, err := onward(r.URL, &http.Response{StatusCode: c.status, Request: r, Header: http.Header{"Location": {c.to}}})
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s to %q: %q, %v", c.from, c.to, got, err)
		}
	}
}
