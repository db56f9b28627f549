package door

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"bolwerk"
	copies "bolwerk/internal/copy"
)

func TestReceiptInTheCopy(t *testing.T) {
	s := newSite(t, nil, nil)
	code := bolwerk.NewToken()
	want := Receipt{Kind: "report", State: "blocked", At: start, Changed: start.Add(4 * time.Minute), Number: 3, Same: sameKey, Name: "evil.example", Block: "B-1"}
	e := receiptEntry(t, code, 7, want)
	e.Until = start.Add(time.Hour).UnixMicro()
	s.publish(t, e, entry(t, CountEntry+sameKey, 1, Count{Reports: 47}))
	stored := want
	want.Same, want.Of = "", 47
	look := func() (Receipt, bool) {
		r, err := s.Receipt(code)
		return r, err == nil
	}
	if got, ok := look(); !ok || got != want {
		t.Fatalf("got %+v %v, want %+v", got, ok, want)
	}
	apply := func(e copies.Entry) {
		t.Helper()
		if err := s.Apply(copies.Head{Serial: 2}, []copies.Entry{e}); err != nil {
			t.Fatal(err)
		}
	}
	older := stored
	older.State = "waiting"
	apply(receiptEntry(t, code, 6, older))
	if got, _ := look(); got != want {
		t.Errorf("an older version: got %+v, want what stood", got)
	}
	apply(copies.Entry{ID: ReceiptEntry + code.Hash(), Version: 9, Body: []byte(`{"kind":7}`)})
	if got, _ := look(); got != want || s.list.bad != 1 {
		t.Errorf("an unreadable entry: got %+v, %d counted; want what stood, 1", got, s.list.bad)
	}
	s.clock.Add(time.Hour)
	if _, ok := look(); ok {
		t.Error("past its end: it can still be looked up")
	}
	want.State, stored.State = "rejected", "rejected"
	apply(receiptEntry(t, code, 10, stored)) // open end
	if got, ok := look(); !ok || got != want {
		t.Errorf("a newer version: got %+v %v", got, ok)
	}
	apply(copies.Entry{ID: ReceiptEntry + code.Hash(), Version: 11, Removed: true})
	if _, ok := look(); ok {
		t.Error("removed: it can still be looked up")
	}
}

const sameKey = "00a1b2c3d4e5f607"

// A receipt refers to the count of reports and to the block: they change, and
// the receipt's own entry does not.
func TestAReceiptFollowsWhatItRefersTo(t *testing.T) {
	s := newSite(t, nil, nil)
	code := bolwerk.NewToken()
	r := Receipt{Kind: "report", State: "blocked", At: start, Changed: start.Add(4 * time.Minute), Number: 3, Same: sameKey, Name: "evil.example", Block: "B-1"}
	ends := listedEntry(t, 1, Listed{Ref: "B-1", Name: "evil.example", Scope: "host", Ground: "policy"})
	ends.Until = start.Add(time.Hour).UnixMicro()
	s.publish(t, receiptEntry(t, code, 1, r), ends)
	check := func(when string, want Receipt) {
		t.Helper()
		if got, err := s.Receipt(code); err != nil || got != want {
			t.Errorf("%s: got %+v %v, want %+v", when, got, err, want)
		}
	}
	apply := func(e ...copies.Entry) {
		t.Helper()
		if err := s.Apply(copies.Head{}, e); err != nil {
			t.Fatal(err)
		}
	}
	want := r
	want.Same, want.Number = "", 0
	check("nothing counted", want)
	apply(entry(t, CountEntry+sameKey, 1, Count{Reports: 4}), entry(t, TallyEntry+"B-1", 1, Tally{Visits: 4}))
	check("fewer than five of both", want)
	apply(entry(t, CountEntry+sameKey, 2, Count{Reports: 47}), entry(t, TallyEntry+"B-1", 2, Tally{Visits: 1204}))
	want.Number, want.Of, want.Visits = 3, 47, 1204
	check("counted", want)
	s.clock.Add(time.Hour)
	over := want
	over.State, over.Why, over.Changed = "unblocked", "expired", start.Add(time.Hour)
	check("past its end", over)
	ended := start.Add(30 * time.Minute)
	apply(copies.Entry{ID: BlockEntry + "B-1", Version: 2, Removed: true}, entry(t, TallyEntry+"B-1", 3, Tally{Visits: 1210, Ended: ended, Why: "appeal"}))
	over.Visits, over.Why, over.Changed = 1210, "appeal", ended
	check("withdrawn", over)

	apply(copies.Entry{ID: CountEntry + "no key", Version: 1, Body: []byte(`{}`)}, copies.Entry{ID: TallyEntry + "B-1", Version: 4, Body: []byte(`[]`)}, copies.Entry{ID: AppealEntry + "A-1", Version: 1, Body: []byte(`7`)})
	check("what cannot be read changes nothing", over)
	if s.list.bad != 3 {
		t.Errorf("%d counted as unreadable, want 3", s.list.bad)
	}
}

// A report that came when it was blocked already, and one that is the fifth
// before its count is told.
func TestAReportThatIsTheFifthSaysSo(t *testing.T) {
	s := newSite(t, nil, nil)
	code := bolwerk.NewToken()
	s.publish(t, receiptEntry(t, code, 1, Receipt{Kind: "report", State: "waiting", At: start, Number: 5, Same: sameKey}))
	if got, err := s.Receipt(code); err != nil || got.Number != 5 || got.Of != 5 {
		t.Errorf("got %+v %v, want number 5 of 5", got, err)
	}
}

// All who hold a receipt of an appeal see how it was decided.
func TestEveryAppellantSeesTheDecision(t *testing.T) {
	s := newSite(t, nil, nil)
	first, second := bolwerk.NewToken(), bolwerk.NewToken()
	r := Receipt{Kind: "appeal", State: "received", At: start, Ref: "A-2026-000003", Due: start.Add(48 * time.Hour), Name: "evil.example"}
	s.publish(t, receiptEntry(t, first, 1, r), receiptEntry(t, second, 1, r), entry(t, AppealEntry+r.Ref, 1, AppealState{State: "upheld", Changed: start.Add(time.Hour)}))
	r.State, r.Changed = "upheld", start.Add(time.Hour)
	for _, code := range []bolwerk.Token{first, second} {
		if got, err := s.Receipt(code); err != nil || got != r {
			t.Errorf("got %+v %v, want %+v", got, err, r)
		}
	}
}

func TestAppealInTheCopy(t *testing.T) {
	s := newSite(t, nil, nil)
	code := bolwerk.NewToken()
	want := Receipt{Kind: "appeal", State: "received", At: start, Ref: "A-2026-000003", Due: start.Add(48 * time.Hour), Name: "evil.example"}
	s.publish(t, receiptEntry(t, code, 1, want))
	if got, err := s.Receipt(code); err != nil || got != want {
		t.Errorf("got %+v %v, want %+v", got, err, want)
	}
}

// What the desk tells wins over what this process remembers of having issued.
func TestDeskWinsOverIssued(t *testing.T) {
	s := newSite(t, nil, nil)
	code, err := s.fresh(s.receive(s.frame.Source(newRequest()), Report{Channel: ByWeb, Form: Text, Body: []byte("x")}))
	if err != nil {
		t.Fatal(err)
	}
	s.publish(t)
	if r, err := s.Receipt(code); err != nil || r.State != "received" {
		t.Errorf("before the desk: got %+v %v", r, err)
	}
	s.clock.Add(59 * time.Minute)
	if r, err := s.Receipt(code); err != nil || r.State != "received" {
		t.Errorf("an hour later: got %+v %v", r, err)
	}
	s.publish(t, receiptEntry(t, code, 1, Receipt{Kind: "report", State: "waiting", At: start}))
	if r, err := s.Receipt(code); err != nil || r.State != "waiting" {
		t.Errorf("after the desk: got %+v %v", r, err)
	}
	s.publish(t)
	s.clock.Add(keepIssued)
	if _, err := s.Receipt(code); err == nil {
		t.Error("it is remembered for ever")
	}
}

func TestBlocksByName(t *testing.T) {
	s := newSite(t, nil, nil)
	l := func(ref, name, scope, ground string) Listed {
		return Listed{Ref: ref, Name: name, Scope: scope, Ground: ground, Since: start}
	}
	later := listedEntry(t, 1, l("LATER", "later.example", "host", "policy"))
	later.From = start.Add(time.Hour).UnixMicro()
	ends := listedEntry(t, 1, l("ENDS", "ends.example", "host", "policy"))
	ends.Until = start.Add(time.Hour).UnixMicro()
	www := l("WWW", "www.example", "host", "policy")
	www.WWW = true
	s.publish(t, later, ends, listedEntry(t, 1, www),
		listedEntry(t, 1, l("SUB", "sub.example", "subtree", "policy")), listedEntry(t, 1, l("DEEP", "deep.sub.example", "host", "policy")),
		listedEntry(t, 1, l("ORDER", "both.example", "registrable", "order")), listedEntry(t, 1, l("OWN", "both.example", "host", "policy")))
	check := func(name, want string) {
		t.Helper()
		b, ok, err := s.Listed(bolwerk.MustDomain(name))
		if err != nil || b.Ref != want || ok != (want != "") {
			t.Errorf("%s: got %q %v %v, want %q", name, b.Ref, ok, err, want)
		}
	}
	check("www.example", "WWW")
	check("www.www.example", "WWW")
	check("a.www.example", "")
	check("sub.example", "SUB")
	check("x.y.sub.example", "SUB")
	check("deep.sub.example", "DEEP")
	check("a.deep.sub.example", "SUB")
	check("both.example", "ORDER")
	check("xsub.example", "")
	check("later.example", "")
	check("ends.example", "ENDS")
	s.clock.Add(time.Hour)
	check("later.example", "LATER")
	check("ends.example", "")

	if err := s.Apply(copies.Head{}, []copies.Entry{
		{ID: BlockEntry + "ORDER", Version: 2, Removed: true}, {ID: BlockEntry + "OWN", Version: 0, Removed: true}, {ID: BlockEntry + "NONE", Version: 2, Removed: true},
		listedEntry(t, 2, l("DEEP", "moved.example", "host", "policy")), {ID: "z:of a later desk", Version: 1, Body: []byte("{}")},
	}); err != nil {
		t.Fatal(err)
	}
	check("both.example", "OWN") // its removal was older than the block
	check("a.both.example", "")
	check("deep.sub.example", "SUB")
	check("moved.example", "DEEP")
	if s.list.bad != 0 || len(s.list.refs) != 6 || len(s.list.names) != 6 {
		t.Errorf("got %d bad, %d blocks of %d names, want 0, 6, 6", s.list.bad, len(s.list.refs), len(s.list.names))
	}
}

func TestAnUnreadableBlockIsSkippedAndCounted(t *testing.T) {
	s := newSite(t, nil, nil)
	good := Listed{Ref: "B-1", Name: "evil.example", Scope: "host"}
	s.publish(t, copies.Entry{ID: BlockEntry + "B-2", Body: []byte(`{`)}, listedEntry(t, 1, good),
		copies.Entry{ID: BlockEntry + "B-3", Body: []byte(`{"ref":"B-3","name":"..","scope":"host"}`)}, copies.Entry{ID: ReceiptEntry + "short", Body: []byte(`{}`)})
	if _, ok, _ := s.Listed(bolwerk.MustDomain("evil.example")); !ok || s.list.bad != 3 {
		t.Errorf("got %v with %d counted, want the good one and 3", ok, s.list.bad)
	}
}

// TestManyReceipts measures what N receipts hold. BOLWERK_MANY=10000000 for the aim.
func TestManyReceipts(t *testing.T) {
	n := 100_000
	if v, err := strconv.Atoi(os.Getenv("BOLWERK_MANY")); err == nil {
		n = v
	}
	s := newSite(t, nil, nil)
	var before, after runtime.MemStats
	for range 3 { // what pools of earlier tests hold goes with the second one
		runtime.GC()
	}
	runtime.ReadMemStats(&before)
	began := time.Now()
	err := s.Reset(copies.Head{}, func(yield func(copies.Entry) bool) {
		body := []byte(`{"kind":"report","state":"blocked","at":"2026-11-23T13:05:09Z","number":3,"same":"00a1b2c3d4e5f607","name":"evil.example","block":"B-1","changed":"2026-11-23T13:09:09Z"}`)
		for i := range n {
			yield(copies.Entry{ID: ReceiptEntry + fmt.Sprintf("%032x%032x", uint64(i)*0x9e3779b97f4a7c15, i), Version: 1, Body: body})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (float64(after.HeapAlloc) - float64(before.HeapAlloc)) / float64(n)
	t.Logf("%d receipts: %.0f bytes each, loaded in %s", n, each, took.Round(time.Millisecond))
	if len(s.list.receipts) != n || each > 160 {
		t.Errorf("got %d receipts of %.0f bytes, want %d of at most 160", len(s.list.receipts), each, n)
	}
	runtime.KeepAlive(s)
}
