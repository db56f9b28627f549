package copy_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk/internal/copy"
	"bolwerk/internal/copy/copytest"
	"bolwerk/internal/disk"
	"bolwerk/internal/join"
	"bolwerk/internal/join/jointest"
)

// desk is a desk that serves the copy "blocks" to edges.
type desk struct {
	*jointest.Desk
	origin  *copytest.Origin
	signer  *copy.Signer
	handler *copy.Handler
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	d := &desk{Desk: jointest.NewDesk(t), origin: copytest.NewOrigin("blocks")}
	var err error
	if d.signer, err = copy.OpenSigner(filepath.Join(t.TempDir(), "copy.key"), "Example Telecom"); err != nil {
		t.Fatal(err)
	}
	d.Authority.CopyKey = d.signer.Public()
	d.handler = copy.NewHandler(d.origin, d.signer, map[string][]join.Role{"blocks": {join.Edge, join.Relay}, "public": {join.Intake}}, d.Clock, jointest.Quiet())
	d.Mux.Handle("/v1/copy/", d.Require(d.handler, join.Roles()...))
	return d
}

func (d *desk) config(t testing.TB, h *join.Host, dir string) copy.Config {
	return copy.Config{Operator: "Example Telecom", Copy: "blocks", Key: h.CopyKey(), Disk: disk.System{}, Dir: dir,
		Base: h.Base(), Client: jointest.Client(t, h), Clock: d.Clock, Log: jointest.Quiet()}
}

// follow runs a follower until stop.
func follow(t testing.TB, cfg copy.Config, sink copy.Sink) (f *copy.Follower, stop func()) {
	t.Helper()
	f = copy.New(cfg, sink)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return f, stop
}

func entry(id string, v int64) copy.Entry {
	return copy.Entry{ID: id, Version: v, Body: json.RawMessage(fmt.Sprintf(`{"n":"<%s>"}`, id))}
}

func gone(id string, v int64) copy.Entry { return copy.Entry{ID: id, Version: v, Removed: true} }

func await(t testing.TB, s *copytest.Sink, h copy.Head) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.Await(ctx, h.Mark()); err != nil {
		t.Fatal(err)
	}
}

func same(t testing.TB, s *copytest.Sink, want map[string]copy.Entry) {
	t.Helper()
	if got := s.Entries(); !reflect.DeepEqual(got, want) {
		t.Fatalf("the sink holds %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

func TestACopyFollowsTheDesk(t *testing.T) {
	d := newDesk(t)
	dir, sink := t.TempDir(), copytest.NewSink()
	cfg := d.config(t, d.Join(t, "edge-1", join.Edge), dir)
	var asked atomic.Int32
	d.handler.Seen = func(context.Context, copy.Poll) { asked.Add(1) }
	d.origin.Publish(entry("a", 1), entry("b", 1))
	f, stop := follow(t, cfg, sink)
	<-f.Ready()
	for i := range 50 {
		await(t, sink, d.origin.Publish(entry(fmt.Sprint("n", i), 1), gone(fmt.Sprint("n", i-3), 2)))
	}
	// Each publication answers the question that waits for it: the first, one
	// after each, and none that was asked again because it brought nothing.
	if n := asked.Load(); n > 52 {
		t.Errorf("51 publications cost %d questions", n)
	}
	same(t, sink, d.origin.Entries())
	st := f.Status()
	for until := time.Now().Add(20 * time.Second); st.Head.Serial != 51 && time.Now().Before(until); st = f.Status() {
		time.Sleep(time.Millisecond) // the status says what the sink has taken, and so comes after it
	}
	if st.Head.Serial != 51 || len(st.Alarms) != 0 {
		t.Errorf("status %+v", st)
	}
	if err := f.Register(prometheus.NewRegistry()); err != nil {
		t.Error(err)
	}
	stop()

	// The desk goes on while the edge is off, then the edge starts without it.
	want := d.origin.Entries()
	h := d.origin.Publish(gone("a", 2))
	off := cfg
	off.Base = "https://127.0.0.1:1"
	sink2 := copytest.NewSink()
	f, stop = follow(t, off, sink2)
	<-f.Ready()
	same(t, sink2, want)
	stop()

	sink3 := copytest.NewSink()
	_, stop = follow(t, cfg, sink3)
	await(t, sink3, h)
	same(t, sink3, d.origin.Entries())
	stop()

	// Too far behind: a snapshot.
	d.origin.Publish(entry("c", 1))
	d.origin.Forget()
	h = d.origin.Publish(entry("d", 1))
	sink4 := copytest.NewSink()
	follow(t, cfg, sink4)
	await(t, sink4, h)
	same(t, sink4, d.origin.Entries())
}

func TestARestoreIsTakenAndAWithdrawalStays(t *testing.T) {
	d := newDesk(t)
	sink := copytest.NewSink()
	var held []copy.Entry
	var want atomic.Bool
	d.handler.Want = func() func(copy.Poll) bool {
		return func(p copy.Poll) bool { return want.Load() && p.Mark.Epoch == 1 }
	}
	d.handler.Held = func(_ context.Context, p copy.Poll, files io.Reader) error {
		defer want.Store(false)
		_, err := copy.ReadHeld(files, copy.Trust{Operator: "Example Telecom", Copy: "blocks", Keys: []ed25519.PublicKey{d.signer.Public()}},
			func(e copy.Entry) error { held = append(held, e); return nil })
		return err
	}
	follow(t, d.config(t, d.Join(t, "edge-1", join.Edge), t.TempDir()), sink)
	await(t, sink, d.origin.Publish(entry("a", 1), entry("b", 1)))
	backup := d.origin.Backup()
	await(t, sink, d.origin.Publish(gone("a", 2), entry("c", 1)))
	want.Store(true)
	h := d.origin.Restore(backup) // a is in force again, c is forgotten
	await(t, sink, h)
	if got := slices.Sorted(maps.Keys(sink.Entries())); !slices.Equal(got, []string{"b"}) {
		t.Errorf("after the restore %v are served, want b: a was withdrawn", got)
	}
	if len(held) != 4 || !slices.ContainsFunc(held, func(e copy.Entry) bool { return e.ID == "a" && e.Removed }) {
		t.Errorf("the desk was told %v", held)
	}
	await(t, sink, d.origin.Publish(entry("a", 3)))
	same(t, sink, d.origin.Entries())
}

func TestAChangedKeyIsFollowedAndTheOldOneIsOver(t *testing.T) {
	d := newDesk(t)
	sink, dir := copytest.NewSink(), t.TempDir()
	cfg := d.config(t, d.Join(t, "edge-1", join.Edge), dir)
	await2 := func(stop func(), h copy.Head) { t.Helper(); await(t, sink, h); stop() }
	_, stop := follow(t, cfg, sink)
	await2(stop, d.origin.Publish(entry("a", 1)))
	for range 3 {
		if err := d.signer.Rotate(d.Clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	_, stop = follow(t, cfg, sink)
	await2(stop, d.origin.Publish(entry("b", 1)))
	_, stop = follow(t, cfg, sink) // from disk, under two keys
	await2(stop, d.origin.Publish(entry("c", 1)))
	same(t, sink, d.origin.Entries())
}

func TestAHostGetsOnlyTheCopiesOfItsRole(t *testing.T) {
	d := newDesk(t)
	h := d.Join(t, "intake-1", join.Intake)
	c := jointest.Client(t, h)
	for path, want := range map[string]int{
		"/v1/copy/blocks":                       403,
		"/v1/copy/unknown":                      403,
		"/v1/copy/public":                       404, // this desk has none
		"/v1/copy/public?epoch=-1":              400,
		"/v1/copy/public?epoch=x":               400,
		"/v1/copy/public?epoch=1&wait=3600":     404,
		"/v1/copy/public?epoch=1&wait=99999999": 400,
	} {
		res, err := c.Get(h.Base() + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, res.StatusCode, want)
		}
	}
	req, _ := http.NewRequest(http.MethodPut, h.Base()+"/v1/copy/public/held", strings.NewReader("x"))
	res, err := c.Do(req)
	if err != nil || res.StatusCode != 409 {
		t.Errorf("telling what nobody asked for: %v, %v, want 409", res, err)
	}
}

func TestAuditHeadsAreKept(t *testing.T) {
	d := newDesk(t)
	sink := copytest.NewSink()
	f, _ := follow(t, d.config(t, d.Join(t, "edge-1", join.Edge), t.TempDir()), sink)
	await(t, sink, d.origin.Publish(entry("a", 1)))
	for range 3 {
		d.Clock.Add(50 * time.Minute)
		await(t, sink, d.origin.Publish(entry("a", 1)))
	}
	for deadline := time.Now().Add(5 * time.Second); len(f.AuditHeads()) < 2 && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	got := f.AuditHeads()
	if len(got) != 2 || got[0].Head.Audit == "" || !strings.HasPrefix(got[0].Line, "H ") {
		t.Errorf("%d audit heads, want 2", len(got))
	}
}

var entries = flag.Int("entries", 100_000, "size of the copy in TestALargeCopy; -v prints the times")

// TestALargeCopy takes a copy from the desk and starts from it: neither side
// holds it in memory.
func TestALargeCopy(t *testing.T) {
	o := &big{Origin: copytest.NewOrigin("blocks"), n: *entries}
	d := newDesk(t)
	h := copy.NewHandler(o, d.signer, nil, d.Clock, jointest.Quiet())
	files := copy.NewFiles(disk.System{}, t.TempDir())
	sink := &counting{}
	m := copy.NewMachine(files, sink, copy.Trust{Operator: "Example Telecom", Copy: "blocks", Keys: []ed25519.PublicKey{d.signer.Public()}})
	out, err := m.Start(d.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	r, w := io.Pipe()
	go func() {
		w.CloseWithError(h.Answer(t.Context(), w, copy.Poll{Copy: "blocks", Nothing: true}, "", false, 0))
	}()
	e := m.ReadAnswer(out[0].(copy.Question), r)
	t.Logf("sent and staged in %v", time.Since(start))
	start = time.Now()
	m.Handle(e, d.Clock.Now())
	t.Logf("verified, installed and given to the sink in %v", time.Since(start))
	if sink.n != o.n {
		t.Errorf("the sink has %d entries, want %d", sink.n, o.n)
	}
	start = time.Now()
	if _, err := m.Start(d.Clock.Now()); err != nil {
		t.Fatal(err)
	}
	t.Logf("started from disk in %v", time.Since(start))
}

type big struct {
	*copytest.Origin
	n int
}

func (b *big) Snapshot(ctx context.Context, name string, begin func(copy.Head) error, each func(copy.Entry) error) error {
	h, err := b.Head(ctx, name)
	if err != nil {
		return err
	}
	h.Count = int64(b.n)
	if err := begin(h); err != nil {
		return err
	}
	for i := range b.n {
		e := copy.Entry{ID: fmt.Sprintf("%08d", i), Version: 1, Body: json.RawMessage(fmt.Sprintf(`{"block":"B-2026-%08d","name":"shop-%08d.example","scope":"host","action":"redirect"}`, i, i))}
		if err := each(e); err != nil {
			return err
		}
	}
	return nil
}

type counting struct{ n int }

func (c *counting) Reset(_ copy.Head, seq func(func(copy.Entry) bool)) error {
	c.n = 0
	for range seq {
		c.n++
	}
	return nil
}

func (c *counting) Apply(copy.Head, []copy.Entry) error { return nil }

func TestASinkThatFailsIsGivenAllAgain(t *testing.T) {
	d := newDesk(t)
	sink := copytest.NewSink()
	m := copy.NewMachine(copy.NewFiles(disk.NewCrashing(1), "/c"), sink, copy.Trust{Operator: "Example Telecom", Copy: "blocks", Keys: []ed25519.PublicKey{d.signer.Public()}})
	now := d.Clock.Now()
	out, err := m.Start(now)
	if err != nil {
		t.Fatal(err)
	}
	ask := func() {
		t.Helper()
		for _, e := range out {
			if q, ok := e.(copy.Question); ok {
				var b bytes.Buffer
				if err := d.handler.Answer(t.Context(), &b, copy.Poll{Copy: "blocks", Mark: q.Mark, Nothing: q.Nothing}, q.Key, q.Snapshot, 0); err != nil {
					t.Fatal(err)
				}
				out = m.Handle(m.ReadAnswer(q, &b), now)
				return
			}
		}
		t.Fatal("nothing was asked")
	}
	ask()
	d.origin.Publish(entry("a", 1))
	sink.Fail = errors.New("no memory")
	ask()
	d.origin.Publish(entry("b", 1))
	ask()
	if a := m.State().Alarms(); !slices.Contains(a, copy.AlarmSink) {
		t.Errorf("alarms %v, want sink", a)
	}
	sink.Fail = nil
	m.Handle(copy.Tick{}, now)
	same(t, sink, d.origin.Entries())
	if a := m.State().Alarms(); len(a) != 0 {
		t.Errorf("alarms %v stay", a)
	}
}
