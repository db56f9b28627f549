package idem

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
	"bolwerk/internal/vault"
)

type setup struct {
	*Keeper
	clock *clock.Fake
	dir   string
	calls int
}

func open(t *testing.T) *setup {
	t.Helper()
	s := &setup{clock: clock.NewFake(time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)), dir: t.TempDir()}
	db := storetest.Open(t, s.clock, Schema())
	v, err := vault.Open(filepath.Join(s.dir, "keys"), s.clock)
	if err != nil {
		t.Fatal(err)
	}
	s.Keeper = New(db, v, slog.New(slog.DiscardHandler))
	return s
}

// handler answers how often it was called; a body of "fail" fails, one of
// "effect, then fail" does so after a write.
func (s *setup) handler() http.Handler {
	return s.Wrap(func(r *http.Request) string { return r.Header.Get("Person") }, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls++
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/plain")
		if strings.HasPrefix(string(b), "effect") {
			if err := s.effect(r.Context()); err != nil {
				http.Error(w, err.Error(), http.StatusConflict)
				return
			}
		}
		if strings.HasSuffix(string(b), "fail") {
			w.WriteHeader(500)
			return
		}
		w.WriteHeader(201)
		fmt.Fprintf(w, "secret answer %d", s.calls)
	}))
}

// effect is a write of a request.
func (s *setup) effect(ctx context.Context) error {
	return s.db.Write(ctx, store.Decision, func(*store.Tx) error { return nil })
}

func post(h http.Handler, key, body, person string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/api/v1/x", strings.NewReader(body))
	r.Header.Set("Person", person)
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestOneKeyOneEffect(t *testing.T) {
	s := open(t)
	h := s.handler()
	for _, c := range []struct {
		name, key, body, person string
		status                  int
		answer                  string
	}{
		{"first", "k", "a", "p", 201, "secret answer 1"},
		{"again", "k", "a", "p", 201, "secret answer 1"},
		{"another body", "k", "b", "p", 422, "another request"},
		{"another person", "k", "a", "q", 201, "secret answer 2"},
		{"no key", "", "a", "p", 201, "secret answer 3"},
		{"our fault", "f", "fail", "p", 500, ""},
		{"our fault, again", "f", "fail", "p", 500, ""},
		{"with an effect", "t", "effect", "p", 201, "secret answer 6"},
		{"with an effect, again", "t", "effect", "p", 201, "secret answer 6"},
		{"our fault after an effect", "e", "effect, then fail", "p", 500, ""},
		{"our fault after an effect, again", "e", "effect, then fail", "p", 409, "carried this request out"},
		{"our fault after an effect, another body", "e", "a", "p", 422, "another request"},
		{"a long key", strings.Repeat("k", 256), "a", "p", 400, "at most 255"},
	} {
		w := post(h, c.key, c.body, c.person)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.answer) {
			t.Errorf("%s: got %d %s, want %d %s", c.name, w.Code, w.Body, c.status, c.answer)
		}
	}
	s.clock.Add(25 * time.Hour)
	if w := post(h, "k", "b", "p"); w.Code != 201 {
		t.Errorf("a day later: got %d", w.Code)
	}
}

func TestTwoAtOnceAreOne(t *testing.T) {
	s := open(t)
	entered, finish := make(chan struct{}), make(chan struct{})
	h := s.Wrap(func(*http.Request) string { return "p" }, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-finish
	}))
	done := make(chan int)
	go func() { done <- post(h, "k", "a", "p").Code }()
	<-entered
	if w := post(h, "k", "a", "p"); w.Code != 409 || w.Header().Get("Retry-After") == "" {
		t.Errorf("while the first runs: got %d, want 409", w.Code)
	}
	close(finish)
	if code := <-done; code != 200 {
		t.Errorf("the first: got %d", code)
	}
}

// A desk was killed while it answered: the next one makes the request again, or
// says that it was done. What is left of the first can then do nothing.
func TestARequestThatWasCutOffMayComeAgain(t *testing.T) {
	for _, done := range []bool{false, true} {
		s := open(t)
		killed := New(s.db, s.vault, s.log)
		c := &claim{k: killed, person: "p", key: sum([]byte("k")), token: "killed"}
		if _, err := killed.take(t.Context(), c, sum([]byte("POST /api/v1/x\n\neffect")), killed.begin(c)); err != nil {
			t.Fatal(err)
		}
		ctx := store.Fenced(t.Context(), c.mark)
		if done {
			if err := s.effect(ctx); err != nil {
				t.Fatal(err)
			}
		}
		want := 201
		if done {
			want = 409
		}
		w := post(s.handler(), "k", "effect", "p")
		if w.Code != want || done != strings.Contains(w.Body.String(), "carried this request out") || w.Header().Get("Retry-After") != "" {
			t.Errorf("effect %v: the request again: got %d %s, want %d", done, w.Code, w.Body, want)
		}
		if done {
			continue
		}
		if err := s.effect(ctx); err == nil {
			t.Error("a request that lost its key had an effect")
		}
		if err := s.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error { return c.put(tx, 200, "", nil) }); err == nil {
			t.Error("a request that lost its key kept an answer")
		}
		killed.release(t.Context(), c)
		if w := post(s.handler(), "k", "effect", "p"); w.Code != 201 || w.Header().Get("Idempotency-Replayed") == "" {
			t.Errorf("once more: got %d %s, want the kept answer", w.Code, w.Body)
		}
	}
}

func TestAnswersAreSealed(t *testing.T) {
	s := open(t)
	post(s.handler(), "plain-key", "a", "p")
	if s.db.Postgres() {
		t.Skip("reads the SQLite files")
	}
	for _, name := range []string{"", "-wal"} {
		b, err := os.ReadFile(s.db.Path() + name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("secret answer")) || bytes.Contains(b, []byte("plain-key")) {
			t.Errorf("store%s holds an answer or a key in the clear", name)
		}
	}
}
