package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/factlog"
	"bolwerk/internal/job"
	"bolwerk/internal/seal"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
)

var by = bolwerk.Person("0190a000-0000-7000-8000-000000000001")

type got struct {
	subject, delivery, signature, body string
}

type desk struct {
	t     *testing.T
	clock *clock.Fake
	db    *store.DB
	facts *factlog.Log
	*Hooks
	runner *job.Runner
	server *httptest.Server

	mu     sync.Mutex
	answer int
	got    []got
}

func newDesk(t *testing.T, allow ...netip.Prefix) *desk {
	t.Helper()
	d := &desk{t: t, clock: clock.NewFake(time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)), answer: 204}
	log := slog.New(slog.DiscardHandler)
	d.db = storetest.Open(t, d.clock, audit.Schema(), factlog.Schema(), job.Schema(), Schema())
	d.facts = factlog.New(d.db, log)
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	d.Hooks = New(Config{Allow: allow}, d.db, key, []string{"shield.block.placed", "shield.block.ended", "shield.case.decided"}, d.clock, log, nil)
	d.runner = job.New(d.db, d.clock, log)
	d.Handle(d.runner)
	d.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.got = append(d.got, got{r.Header.Get(HeaderSubject), r.Header.Get(HeaderDelivery), r.Header.Get(HeaderSignature), string(b)})
		w.WriteHeader(d.answer)
	}))
	t.Cleanup(d.server.Close)
	return d
}

var loopback = netip.MustParsePrefix("127.0.0.0/8")

func (d *desk) happens(subject string) {
	d.t.Helper()
	if err := d.db.Write(d.t.Context(), store.Decision, func(tx *store.Tx) error {
		d.facts.Append(tx, by, subject, "ref", map[string]string{"ref": "B-2026-000001"})
		return nil
	}); err != nil {
		d.t.Fatal(err)
	}
}

// work takes up facts and does due jobs until none is due.
func (d *desk) work() []got {
	d.t.Helper()
	if err := d.round(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(d.t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); d.runner.Run(ctx) }()
	for due := int64(1); due > 0; time.Sleep(5 * time.Millisecond) {
		if err := d.db.Read(ctx, func(tx *store.Tx) error {
			return tx.Row(`select count(*) from job where state='waiting' and due<=$1`, store.Micros(d.clock.Now())).Scan(&due)
		}); err != nil {
			d.t.Fatal(err)
		}
	}
	stop()
	<-ended
	d.mu.Lock()
	defer d.mu.Unlock()
	out := d.got
	d.got = nil
	return out
}

func (d *desk) add(subjects ...string) (Hook, string) {
	d.t.Helper()
	h, key, err := d.Add(d.t.Context(), by, d.server.URL, subjects, "siem")
	if err != nil {
		d.t.Fatal(err)
	}
	return h, key
}

// signed checks a signature as a receiver does, by docs/do/webhooks.md.
func signed(t *testing.T, g got, key string) bool {
	t.Helper()
	parts := strings.Split(g.signature, ",")
	at := strings.TrimPrefix(parts[0], "t=")
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	m := hmac.New(sha256.New, raw)
	io.WriteString(m, at+"."+g.body)
	want := "v1=" + hex.EncodeToString(m.Sum(nil))
	for _, p := range parts[1:] {
		if hmac.Equal([]byte(p), []byte(want)) {
			return true
		}
	}
	return false
}

func TestAFactReachesWhoAskedForIt(t *testing.T) {
	d := newDesk(t, loopback)
	d.happens("shield.block.placed") // before anybody asked
	h, key := d.add("shield.block")
	d.happens("shield.block.placed")
	d.happens("shield.case.decided")
	d.happens("shield.block.ended")
	all := d.work()
	if len(all) != 2 || all[0].subject != "shield.block.placed" || all[1].subject != "shield.block.ended" {
		t.Fatalf("got %+v", all)
	}
	for _, g := range all {
		if !signed(t, g, key) || !strings.Contains(g.body, `"ref":"B-2026-000001"`) || g.delivery == "" {
			t.Errorf("delivery %+v", g)
		}
	}
	if again := d.work(); len(again) != 0 {
		t.Errorf("told twice: %+v", again)
	}
	list, err := d.Deliveries(t.Context(), h.ID, "", 10)
	if err != nil || len(list) != 2 || list[0].State != "done" || list[0].Status != 204 {
		t.Errorf("deliveries %+v, %v", list, err)
	}
}

func TestAReceiverThatIsAwayIsTriedAgain(t *testing.T) {
	d := newDesk(t, loopback)
	h, _ := d.add("shield.block")
	d.answer = 503
	d.happens("shield.block.placed")
	first := d.work()
	list, err := d.Deliveries(t.Context(), h.ID, "", 10)
	if err != nil || len(first) != 1 || len(list) != 1 || list[0].State != "waiting" || list[0].Status != 503 || list[0].Error == "" || list[0].NextTry.IsZero() {
		t.Fatalf("after one try: %+v, %v", list, err)
	}
	if again := d.work(); len(again) != 0 {
		t.Error("tried again at once")
	}
	d.answer = 200
	d.clock.Add(time.Minute)
	second := d.work()
	if len(second) != 1 || second[0].delivery != first[0].delivery {
		t.Errorf("the second try: %+v", second)
	}
	t.Run("410 is an end", func(t *testing.T) {
		d.answer = 410
		d.happens("shield.block.placed")
		d.work()
		if list, err := d.Deliveries(t.Context(), h.ID, "", 1); err != nil || list[0].State != "failed" {
			t.Errorf("%+v, %v", list, err)
		}
	})
	t.Run("and what was missed is told again", func(t *testing.T) {
		d.answer = 200
		if n, err := d.Replay(t.Context(), by, h.ID, d.clock.Now().Add(-time.Hour)); err != nil || n != 2 {
			t.Errorf("Replay = %d, %v", n, err)
		}
		if all := d.work(); len(all) != 2 {
			t.Errorf("%d told", len(all))
		}
	})
}

func TestTwoKeysSignWhileOneIsChanged(t *testing.T) {
	d := newDesk(t, loopback)
	h, first := d.add("shield.block")
	second, err := d.Rotate(t.Context(), by, h.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Rotate(t.Context(), by, h.ID, false); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("a third key: %v", err)
	}
	d.happens("shield.block.placed")
	if g := d.work()[0]; !signed(t, g, first) || !signed(t, g, second) {
		t.Errorf("one of the keys does not sign: %+v", g)
	}
	if _, err := d.Rotate(t.Context(), by, h.ID, true); err != nil {
		t.Fatal(err)
	}
	d.happens("shield.block.placed")
	if g := d.work()[0]; signed(t, g, first) || !signed(t, g, second) {
		t.Errorf("after the change: %+v", g)
	}
	var stored []byte
	d.db.Read(t.Context(), func(tx *store.Tx) error { return tx.Row(`select secret from webhook`).Scan(&stored) })
	if strings.Contains(string(stored), second) {
		t.Error("the key lies open in the store")
	}
}

func TestNothingLeadsIntoOurOwnNetwork(t *testing.T) {
	d := newDesk(t)
	for _, address := range []string{"http://127.0.0.1/", "https://10.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest", "https://user:pass@a.example/", "ftp://a.example/", "file:///etc/passwd", "https://", ""} {
		if _, _, err := d.Add(t.Context(), by, address, []string{"shield.block"}, ""); err == nil {
			t.Errorf("%q was taken", address)
		}
	}
	if _, _, err := d.Add(t.Context(), by, "https://a.example/", []string{"shield.nothing"}, ""); !errors.Is(err, bolwerk.ErrInvalid) {
		t.Errorf("an unknown subject: %v", err)
	}
	// A name that leads here is found when it is dialed, over TLS and in the clear.
	for _, scheme := range []string{"http", "https"} {
		h, _, err := d.Add(t.Context(), by, strings.Replace(d.server.URL, "http://127.0.0.1", scheme+"://localhost", 1), []string{"shield.block"}, "")
		if err != nil {
			t.Fatal(err)
		}
		d.happens("shield.block.placed")
		if all := d.work(); len(all) != 0 {
			t.Fatalf("%s reached it: %+v", scheme, all)
		}
		if list, err := d.Deliveries(t.Context(), h.ID, "", 1); err != nil || list[0].State != "failed" {
			t.Errorf("%s: %+v, %v", scheme, list, err)
		}
		if got, err := d.Try(t.Context(), h.ID); err != nil || got.State != "failed" || got.Error == "" {
			t.Errorf("a test by %s: %+v, %v", scheme, got, err)
		}
		if err := d.Remove(t.Context(), by, h.ID); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARemovedReceiverIsToldNothing(t *testing.T) {
	d := newDesk(t, loopback)
	h, _ := d.add("shield")
	if got, err := d.Try(t.Context(), h.ID); err != nil || got.State != "done" {
		t.Fatalf("test: %+v, %v", got, err)
	}
	d.got = nil
	d.happens("shield.block.placed")
	if err := d.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.Remove(t.Context(), by, h.ID); err != nil {
		t.Fatal(err)
	}
	d.happens("shield.block.placed")
	if all := d.work(); len(all) != 0 {
		t.Errorf("told %+v", all)
	}
	if all, err := d.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("still listed: %+v, %v", all, err)
	}
}

// A receiver that is paused is told nothing; what happened meanwhile waits for it.
func TestAPausedReceiverIsToldLater(t *testing.T) {
	d := newDesk(t, loopback)
	h, _ := d.add("shield.block")
	if err := d.Pause(t.Context(), by, h.ID, true); err != nil {
		t.Fatal(err)
	}
	d.happens("shield.block.placed")
	if got := d.work(); len(got) != 0 {
		t.Errorf("a paused receiver was told %v", got)
	}
	if all, err := d.List(t.Context()); err != nil || len(all) != 1 || all[0].State != "paused" {
		t.Errorf("the list says %+v, %v", all, err)
	}
	if err := d.Pause(t.Context(), by, h.ID, false); err != nil {
		t.Fatal(err)
	}
	if got := d.work(); len(got) != 1 || got[0].subject != "shield.block.placed" {
		t.Errorf("after the pause it was told %v", got)
	}
}

func TestAReceiverThatHangsHoldsUpNoOther(t *testing.T) {
	d := newDesk(t, loopback)
	hang := make(chan struct{})
	deaf := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	t.Cleanup(deaf.Close)
	t.Cleanup(func() { close(hang) })
	if _, _, err := d.Add(t.Context(), by, deaf.URL, []string{"shield.block"}, "deaf"); err != nil {
		t.Fatal(err)
	}
	for range 20 { // its pile is there first
		d.happens("shield.block.placed")
	}
	if err := d.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.add("shield.block")
	d.happens("shield.block.ended")
	if err := d.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); d.runner.Run(ctx) }()
	defer func() { stop(); <-ended }()
	begun := time.Now()
	for n := 0; n == 0; time.Sleep(5 * time.Millisecond) {
		d.mu.Lock()
		n = len(d.got)
		d.mu.Unlock()
		if n == 0 && time.Since(begun) > tryTime-time.Second {
			t.Fatal("the other receiver waits for the one that hangs")
		}
	}
}
