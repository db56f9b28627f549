package privacy

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/factlog"
	"bolwerk/internal/job"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
	"bolwerk/internal/vault"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// keeper keeps one thing about each subscriber who is in it.
type keeper struct {
	about  map[string]any
	erased []string
	fails  error
}

func (k *keeper) About(_ context.Context, subscriber string) (out []desk.Kept, err error) {
	if data, ok := k.about[subscriber]; ok {
		out = append(out, desk.Kept{What: "case", ID: "AB-2026-000001", At: noon, Until: "a year", Data: data})
	}
	return out, nil
}

func (k *keeper) Erase(_ context.Context, _ bolwerk.Actor, subscriber string) ([]desk.Erased, error) {
	if k.fails != nil {
		return nil, k.fails
	}
	k.erased = append(k.erased, subscriber)
	n := len(k.about)
	delete(k.about, subscriber)
	return []desk.Erased{{What: "closed cases", Erased: n - len(k.about)}}, nil
}

// Kept gives the case of jansen.
func (k *keeper) Kept(_ context.Context, ref string) (string, string, desk.Kept, error) {
	if ref != "AB-2026-000001" {
		return "", "", desk.Kept{}, bolwerk.NotFound("no case")
	}
	return "case-1", "jansen", desk.Kept{What: "case", ID: ref, Data: k.about["jansen"]}, nil
}

type look struct{ by, reason, caseID, subscriber string }

type ledger struct{ looks []look }

func (l *ledger) Noted(_ context.Context, by bolwerk.Actor, reason, caseID, subscriber string) error {
	l.looks = append(l.looks, look{by.String(), reason, caseID, subscriber})
	return nil
}

type house struct {
	*Desk
	t      *testing.T
	clock  *clock.Fake
	keeper *keeper
	ledger *ledger
	people map[string]account.Person
}

func open(t *testing.T) *house {
	t.Helper()
	c := clock.NewFake(noon)
	db := storetest.Open(t, c, audit.Schema(), factlog.Schema(), job.Schema(), account.Schema(), desk.Schema(), Schema())
	keys, err := vault.Open(t.TempDir(), c)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, clock: c, keeper: &keeper{about: map[string]any{"jansen": map[string]any{"state": "closed", "events": []any{map[string]any{"address": "192.0.2.7", "class": "abusive-content/spam"}}, "history": []any{map[string]any{"text": "closed"}}}, "peeters": map[string]any{}}}, ledger: &ledger{}, people: map[string]account.Person{}}
	if h.Desk, err = New(Parts{DB: db, Clock: c, Log: slog.New(slog.DiscardHandler), Holds: NewHolds(keys), Keepers: []desk.Keeper{h.keeper}, Lookups: h.ledger, Cases: h.keeper, Operator: "Example Telecom"}); err != nil {
		t.Fatal(err)
	}
	for i, p := range []struct {
		login string
		role  account.Role
	}{{"petra", account.PrivacyOfficer}, {"paul", account.PrivacyOfficer}, {"dora", account.DutyOfficer}, {"anna", account.Analyst}, {"ilse", account.Administrator}} {
		h.people[p.login] = account.Person{ID: bolwerk.NewID(noon.Add(time.Duration(i))), Login: p.login, Role: p.role, State: account.Active, By: account.BySession, Exempt: true, Proved: noon}
	}
	return h
}

// text is the one cell that a query gives.
func (h *house) text(q string) (s string) {
	h.t.Helper()
	if err := h.db.Read(h.t.Context(), func(tx *store.Tx) error { return tx.Row(q).Scan(&s) }); err != nil {
		h.t.Fatal(err)
	}
	return s
}

func kind(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

var wish = Wish{"jansen", "letter 117"}

// One asks and another approves; then the subscriber is erased, and nothing names them
// any more.
func TestErasureTakesTwo(t *testing.T) {
	h, ctx := open(t), t.Context()
	for _, who := range []string{"dora", "anna", "ilse"} {
		_, err := h.AskErasure(ctx, h.people[who], wish)
		kind(t, who+" asks", err, bolwerk.ErrForbidden)
	}
	r, err := h.AskErasure(ctx, h.people["petra"], wish)
	if err != nil || r.State != Waits || len(h.keeper.erased) != 0 {
		t.Fatalf("%+v, %v, erased %v", r, err, h.keeper.erased)
	}
	for who, want := range map[string]error{"petra": bolwerk.ErrForbidden, "anna": bolwerk.ErrForbidden, "ilse": bolwerk.ErrForbidden} {
		_, err := h.Approve(ctx, h.people[who], r.ID, r.Digest)
		kind(t, who+" approves", err, want)
	}
	token := h.people["paul"]
	token.By, token.Scopes = account.ByToken, []account.Scope{account.PrivacyScope}
	_, err = h.Approve(ctx, token, r.ID, r.Digest)
	kind(t, "a token approves", err, bolwerk.ErrForbidden)
	old := h.people["paul"]
	old.Proved = noon.Add(-time.Hour)
	_, err = h.Approve(ctx, old, r.ID, r.Digest)
	kind(t, "an old proof", err, bolwerk.ErrForbidden)
	_, err = h.Approve(ctx, h.people["dora"], r.ID, "another")
	kind(t, "another digest", err, bolwerk.ErrConflict)
	if len(h.keeper.erased) != 0 {
		t.Fatalf("erased %v", h.keeper.erased)
	}

	shown, err := h.Show(ctx, h.people["dora"], r.ID)
	if err != nil || shown.Subscriber != "jansen" || shown.Digest != r.Digest {
		t.Fatalf("%+v, %v", shown, err)
	}
	if n := len(h.ledger.looks); n != 2 || h.ledger.looks[1].by != h.people["dora"].Actor().String() || h.ledger.looks[1].subscriber != "jansen" {
		t.Errorf("looks %+v", h.ledger.looks)
	}
	done, err := h.Approve(ctx, h.people["dora"], r.ID, r.Digest)
	if err != nil || done.State != Done || len(done.Report) != 1 || done.Report[0].Erased != 1 || strings.Join(h.keeper.erased, " ") != "jansen" {
		t.Fatalf("%+v, %v, erased %v", done, err, h.keeper.erased)
	}
	_, err = h.Approve(ctx, h.people["dora"], r.ID, r.Digest)
	kind(t, "twice", err, bolwerk.ErrConflict)
	if n := h.text(`select cast(count(*) as text) from privacy_request where subscriber_sealed is not null`); n != "0" {
		t.Errorf("%s requests still name somebody", n)
	}
	if got := h.text(`select cast(count(*) as text) from audit where action in ('privacy.erase.ask','privacy.erase.approve','privacy.erase')`); got != "3" {
		t.Errorf("%s entries of the audit trail", got)
	}
	if shown, err := h.Show(ctx, h.people["paul"], r.ID); err != nil || shown.Subscriber != "" || len(shown.Report) != 1 {
		t.Errorf("%+v, %v", shown, err)
	}

	if r, err = h.AskErasure(ctx, h.people["petra"], Wish{"peeters", "letter 118"}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Decline(ctx, h.people["petra"], r.ID, "not the subscriber's letter"); err != nil {
		t.Error(err)
	}
	_, err = h.Approve(ctx, h.people["dora"], r.ID, r.Digest)
	kind(t, "a declined one", err, bolwerk.ErrConflict)
}

// What was approved is done, whatever stops the desk in between.
func TestAnErasureIsFinishedAfterACrash(t *testing.T) {
	h, ctx := open(t), t.Context()
	r, err := h.AskErasure(ctx, h.people["petra"], wish)
	if err != nil {
		t.Fatal(err)
	}
	h.keeper.fails = errors.New("the desk stops")
	if _, err := h.Approve(ctx, h.people["dora"], r.ID, r.Digest); err == nil {
		t.Fatal("it did not fail")
	}
	if got := h.text(`select state from privacy_request`); got != "approved" {
		t.Fatalf("state %s", got)
	}
	h.keeper.fails = nil
	if err := h.Forget(ctx); err != nil {
		t.Fatal(err)
	}
	if got := h.text(`select state from privacy_request`); got != "done" || len(h.keeper.erased) != 1 {
		t.Errorf("state %s, erased %v", got, h.keeper.erased)
	}
}

// Nobody approves: after a month the wish is over and names nobody.
func TestAWishExpires(t *testing.T) {
	h, ctx := open(t), t.Context()
	r, err := h.AskErasure(ctx, h.people["petra"], wish)
	if err != nil {
		t.Fatal(err)
	}
	h.clock.Add(32 * 24 * time.Hour)
	if err := h.Forget(ctx); err != nil {
		t.Fatal(err)
	}
	if got := h.text(`select state from privacy_request where subscriber_sealed is null`); got != "expired" {
		t.Errorf("state %s", got)
	}
	dora := h.people["dora"]
	dora.Proved = h.clock.Now()
	_, err = h.Approve(ctx, dora, r.ID, r.Digest)
	kind(t, "an expired one", err, bolwerk.ErrConflict)
	h.clock.Add(370 * 24 * time.Hour)
	if err := h.Forget(ctx); err != nil {
		t.Fatal(err)
	}
	if got := h.text(`select cast(count(*) as text) from privacy_request`); got != "0" {
		t.Errorf("%s requests a year later", got)
	}
}

// A held subscriber is not erased: not asked for, not approved, not over the socket. A
// hold has an end, and it ends by itself.
func TestAHoldKeepsASubscriber(t *testing.T) {
	h, ctx := open(t), t.Context()
	petra := h.people["petra"]
	r, err := h.AskErasure(ctx, petra, wish)
	if err != nil {
		t.Fatal(err)
	}
	good := HoldWish{Subscriber: "jansen", Reason: "asked by a court", Legal: "order 88", Until: noon.AddDate(0, 1, 0)}
	for name, change := range map[string]func(*HoldWish){
		"no end": func(w *HoldWish) { w.Until = time.Time{} }, "an end that is over": func(w *HoldWish) { w.Until = noon }, "an end in ten years": func(w *HoldWish) { w.Until = noon.AddDate(10, 0, 0) },
		"no law": func(w *HoldWish) { w.Legal = " " }, "no reason": func(w *HoldWish) { w.Reason = "" }, "nobody": func(w *HoldWish) { w.Subscriber = "" }, "two": func(w *HoldWish) { w.Case = "AB-2026-000001" },
	} {
		bad := good
		change(&bad)
		_, err := h.Hold(ctx, petra.Actor(), bad)
		kind(t, name, err, bolwerk.ErrInvalid)
	}
	hold, err := h.Hold(ctx, petra.Actor(), good)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.AskErasure(ctx, petra, wish)
	kind(t, "asked while held", err, bolwerk.ErrConflict)
	_, err = h.Approve(ctx, h.people["dora"], r.ID, r.Digest)
	kind(t, "approved while held", err, bolwerk.ErrConflict)
	_, err = h.EraseNow(ctx, wish)
	kind(t, "over the socket while held", err, bolwerk.ErrConflict)
	if len(h.keeper.erased) != 0 {
		t.Fatalf("erased %v", h.keeper.erased)
	}
	delete(h.keeper.about, "jansen") // what goes with the key of its month
	if kept, err := h.Copy(ctx, petra, hold.ID, "for the court"); err != nil || len(kept) != 1 || kept[0].ID != "AB-2026-000001" {
		t.Errorf("the copy: %+v, %v", kept, err)
	}
	if last := h.ledger.looks[len(h.ledger.looks)-1]; last.subscriber != "jansen" || !strings.Contains(last.reason, "for the court") {
		t.Errorf("the look at the copy: %+v", last)
	}

	h.clock.Add(32 * 24 * time.Hour)
	if err := h.Forget(ctx); err != nil {
		t.Fatal(err)
	}
	if got := h.text(`select cast(count(*) as text) from privacy_hold where copy_sealed is not null or subscriber_sealed is not null`); got != "0" {
		t.Errorf("%s holds that are over still hold something", got)
	}
	if _, err := h.EraseNow(ctx, wish); err != nil {
		t.Errorf("once it is over: %v", err)
	}
	all, err := h.Holds(ctx)
	if err != nil || len(all) != 1 || all[0].InForce {
		t.Errorf("%+v, %v", all, err)
	}
}

// A hold that is ended before its time holds nothing any more.
func TestAHoldIsEnded(t *testing.T) {
	h, ctx := open(t), t.Context()
	petra := h.people["petra"]
	hold, err := h.Hold(ctx, petra.Actor(), HoldWish{Case: "AB-2026-000001", Reason: "asked by a court", Legal: "order 88", Until: noon.AddDate(0, 1, 0)})
	if err != nil || hold.Case != "AB-2026-000001" {
		t.Fatalf("%+v, %v", hold, err)
	}
	held := func() (all []desk.Hold) {
		t.Helper()
		if err := h.db.Read(ctx, func(tx *store.Tx) (err error) { all, err = h.p.Holds.Held(tx); return err }); err != nil {
			t.Fatal(err)
		}
		return all
	}
	if all := held(); len(all) != 1 || all[0].Case != "case-1" || all[0].Subscriber != "" {
		t.Errorf("held: %+v", all)
	}
	kind(t, "without a reason", h.EndHold(ctx, petra.Actor(), hold.ID, ""), bolwerk.ErrInvalid)
	if err := h.EndHold(ctx, petra.Actor(), hold.ID, "the court has what it wants"); err != nil {
		t.Fatal(err)
	}
	kind(t, "twice", h.EndHold(ctx, petra.Actor(), hold.ID, "again"), bolwerk.ErrNotFound)
	if all := held(); len(all) != 0 {
		t.Errorf("held: %+v", all)
	}
	_, err = h.Copy(ctx, petra, hold.ID, "to look")
	kind(t, "the copy of one that is over", err, bolwerk.ErrNotFound)
}

// The document says the same as the JSON, in the words of each language; what somebody
// wrote stays as it is.
func TestTheDocumentIsReadable(t *testing.T) {
	h, ctx := open(t), t.Context()
	h.keeper.about["jansen"].(map[string]any)["history"] = []any{map[string]any{"text": "closed <b>\u202e", "kind": "note"}}
	for lang, want := range map[bolwerk.Lang][]string{
		bolwerk.NL: {"Wat wij over u bewaren", "gesloten", "Zaken"}, bolwerk.FR: {"Ce que nous gardons sur vous", "fermé", "Dossiers"},
		bolwerk.DE: {"Was wir über Sie aufbewahren", "abgeschlossen", "Fälle"}, bolwerk.EN: {"What we keep about you", "closed", "Cases"},
	} {
		page, err := h.Document(ctx, bolwerk.Socket(), wish, lang)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range append(want, `<html lang="`+string(lang)+`">`, "192.0.2.7", "closed &lt;b&gt;", "Example Telecom", "2026") {
			if !strings.Contains(string(page), w) {
				t.Errorf("%s: %q is not in the document:\n%s", lang, w, page)
			}
		}
		for _, not := range []string{"\u202e", "<script", "abuse.", "privacy.", "date."} {
			if strings.Contains(string(page), not) {
				t.Errorf("%s: %q is in the document", lang, not)
			}
		}
	}
	if page, err := h.Document(ctx, bolwerk.Socket(), Wish{"nobody", "letter 119"}, bolwerk.EN); err != nil || !strings.Contains(string(page), "We keep nothing about you.") {
		t.Errorf("of nobody: %v\n%s", err, page)
	}
	if len(h.ledger.looks) != 5 {
		t.Errorf("%d looks were noted, want one for each document", len(h.ledger.looks))
	}
}
