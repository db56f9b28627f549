//go:build browser

package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	gardenedge "bolwerk/abuse/edge"
	"bolwerk/abuse/garden"
	"bolwerk/internal/clock"
	"bolwerk/internal/copy"
)

// safe is an edge whose guest is this machine, and a desk that answers what is handed in.
type safe struct {
	t    *testing.T
	edge *gardenedge.Edge
	at   string

	mu     sync.Mutex
	guest  garden.Guest
	events []garden.Event
	n      int64
}

func newSafe(t *testing.T) *safe {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &safe{t: t, at: "http://" + l.Addr().String()}
	cfg := gardenedge.DefaultConfig()
	cfg.Listen, cfg.URL, cfg.Addresses = l.Addr().String(), s.at, []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	s.edge, err = gardenedge.New(cfg, garden.Look{Operator: "Polder Telecom", Phone: "078 000 000", Mail: "hulp@bolwerk.example", Site: "mijn.bolwerk.example"}, gardenedge.Parts{
		Clock: clock.New(), Log: slog.New(slog.DiscardHandler), Doubtful: func() bool { return false },
		HandIn: func(_ context.Context, _ string, body []byte) error {
			var ev garden.Event
			if err := json.Unmarshal(body, &ev); err != nil {
				return err
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events = append(s.events, ev)
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.edge.Serve(ctx, l) }()
	t.Cleanup(func() { stop(); <-done })
	now := time.Now()
	s.guest = garden.Guest{Quarantine: "q1", Ref: "Q-2026-000012", Case: "AB-2026-000031", Class: "malicious-code/infected-system", Family: "mirai", Profile: "leaky",
		Seen: []garden.Seen{{At: now.Add(-40 * time.Minute), What: "mirai TCP 23"}, {At: now.Add(-26 * time.Hour), What: "mirai TCP 2323"}}, Since: now.Add(-30 * time.Minute), Until: now.AddDate(0, 0, 30), SelfLeft: 2, State: "active"}
	s.tell(false)
	return s
}

// tell has the desk publish the guest, or that it is free.
func (s *safe) tell(free bool) {
	s.n++
	en := copy.Entry{ID: "127.0.0.1/32", Version: s.n, Removed: free, Until: time.Now().Add(time.Hour).UnixMicro()}
	if !free {
		body, err := json.Marshal(s.guest)
		if err != nil {
			s.t.Fatal(err)
		}
		en.Body = body
	}
	if err := s.edge.Guests().Apply(copy.Head{}, []copy.Entry{en}); err != nil {
		s.t.Fatal(err)
	}
}

// took is what was handed in of a kind.
func (s *safe) took(what string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.What == what {
			n++
		}
	}
	return n
}

// accessible asks axe about the page where it is there.
func accessible(t *testing.T, ctx context.Context, where string) {
	t.Helper()
	all, err := filepath.Glob("../../.peers/axe-*.min.js")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Logf("%s: axe is not there: test/browser/axe.sh fetches it", where)
		return
	}
	script, err := os.ReadFile(all[0])
	if err != nil {
		t.Fatal(err)
	}
	found, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](string(script)+";"+axe, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Errorf("%s: %s", where, f)
	}
}

// TestGuestOnAPhone is somebody in quarantine, on a phone and by keyboard alone: any plain
// page leads to the safe environment; each step is ticked, release is asked for, the
// desk opens the line, and the page says that it is free.
func TestGuestOnAPhone(t *testing.T) {
	chromium(t)
	s := newSafe(t)
	ctx := open(t)
	elsewhere := strings.Replace(s.at, "127.0.0.1", "localhost", 1) // another name: a plain page
	do(t, ctx, "any plain page", chromedp.EmulateViewport(390, 844), chromedp.Navigate(elsewhere+"/online"), chromedp.WaitVisible(chromedp.CSS("h1")))
	where, err := chromedp.Run(ctx, chromedp.Location())
	if err != nil || where != s.at+"/" {
		t.Fatalf("it led to %s (%v)", where, err)
	}
	do(t, ctx, "in Dutch", chromedp.Navigate(s.at+"/?lang=nl"), chromedp.WaitVisible(chromedp.CSS("h1")))
	wants(t, ctx, "garden", "Uw internet staat in de veilige omgeving", "U hebt niets fout gedaan", "0 van 5 klaar", "Haal het toestel van het net", "112", "078 000 000", "Stopt vanzelf op", "Q-2026-000012")
	fits(t, ctx, "garden")
	accessible(t, ctx, "garden")
	picture(t, ctx, "garden")
	if s.took("seen") != 1 {
		t.Errorf("that the page was seen is handed in %d times", s.took("seen"))
	}

	// By keyboard: the next button that ticks is reached by Tab, and pressed by Enter.
	const button = `(()=>{const b=document.querySelector('button[value=done],button[value=release]');if(!b)return'';b.focus({focusVisible:true});return b.value})()`
	for i := range garden.Thing.Steps() {
		what, err := chromedp.Run(ctx, chromedp.Evaluate[string](button))
		if err != nil || what != "done" {
			t.Fatalf("step %d: %q %v", i+1, what, err)
		}
		do(t, ctx, "tick", chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS(fmt.Sprintf(".plan li:nth-child(%d).done", i+1))))
	}
	wants(t, ctx, "all ticked", "5 van 5 klaar", "U hebt alle stappen gedaan", "Open mijn internet")
	picture(t, ctx, "garden-ticked")
	if s.took("done") != 5 {
		t.Errorf("%d ticks are handed in", s.took("done"))
	}
	if what, err := chromedp.Run(ctx, chromedp.Evaluate[string](button)); err != nil || what != "release" {
		t.Fatalf("no release: %q %v", what, err)
	}
	do(t, ctx, "ask for release", chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS(".now .button")))
	wants(t, ctx, "asked", "U hebt gevraagd uw internet te openen")
	accessible(t, ctx, "asked")
	picture(t, ctx, "garden-asked")
	if s.took("release") != 1 {
		t.Errorf("release is handed in %d times", s.took("release"))
	}

	s.guest.State, s.guest.Done = "releasing", garden.Thing.Steps()
	s.tell(false)
	do(t, ctx, "the desk opens it", chromedp.Navigate(s.at+"/?lang=nl"), chromedp.WaitVisible(chromedp.CSS("h1")))
	wants(t, ctx, "releasing", "Uw internet gaat weer open")
	s.tell(true)
	do(t, ctx, "it is free", chromedp.Navigate(s.at+"/?lang=nl"), chromedp.WaitVisible(chromedp.CSS("h1")))
	wants(t, ctx, "free", "Deze lijn staat niet in de veilige omgeving", "Uw lijn is gewoon open")
	accessible(t, ctx, "free")
	picture(t, ctx, "garden-free")
	r, err := http.Get(s.at + gardenedge.CaptivePath)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var api struct{ Captive *bool }
	if err := json.NewDecoder(r.Body).Decode(&api); err != nil || api.Captive == nil || *api.Captive {
		t.Errorf("RFC 8908 says %+v (%v)", api, err)
	}
}

// TestGuestWhoNeedsHelp does not know the device, chooses it, and asks a person; in every
// language nothing is wider than the smallest window.
func TestGuestWhoNeedsHelp(t *testing.T) {
	chromium(t)
	s := newSafe(t)
	s.guest.Family, s.guest.SelfLeft, s.guest.Profile = "", 0, "strict"
	s.tell(false)
	ctx := open(t)
	do(t, ctx, "unknown device", chromedp.EmulateViewport(1440, 900), chromedp.Navigate(s.at+"/?lang=nl"), chromedp.WaitVisible(chromedp.CSS(".which a")))
	wants(t, ctx, "unknown", "We weten niet welk toestel", "Andere websites gaan pas weer open")
	picture(t, ctx, "garden-unknown")
	do(t, ctx, "choose", chromedp.Click(chromedp.CSS(".which a")), chromedp.WaitVisible(chromedp.CSS("#w_scan")))
	wants(t, ctx, "windows", "Windows Update", "0 van 4 klaar")
	do(t, ctx, "open help", chromedp.Click(chromedp.CSS("summary")), chromedp.WaitVisible(chromedp.CSS("#t")), chromedp.SendKeys(chromedp.CSS("#t"), "de scan start niet"), chromedp.SendKeys(chromedp.CSS("#c"), "0470 00 00 00"),
		chromedp.Click(chromedp.CSS("button[value=help]")), chromedp.WaitVisible(chromedp.CSS(".good")))
	wants(t, ctx, "help", "We hebben uw bericht", "U hebt hulp gevraagd")
	accessible(t, ctx, "help")
	picture(t, ctx, "garden-help")
	if i := slices.IndexFunc(s.events, func(e garden.Event) bool { return e.What == "help" }); i < 0 || s.events[i].Text != "de scan start niet" || s.events[i].Contact != "0470 00 00 00" {
		t.Errorf("handed in %+v", s.events)
	}
	for _, lang := range []string{"nl", "fr", "de", "en"} {
		do(t, ctx, lang, chromedp.EmulateViewport(320, 700), chromedp.Navigate(s.at+"/?lang="+lang), chromedp.WaitVisible(chromedp.CSS("h1")))
		fits(t, ctx, lang)
		accessible(t, ctx, lang)
	}
}

// TestEveryStateOfTheGarden looks at every state of the page in every language, on a phone
// and at a desk, by day and by night: it fits, and axe finds nothing.
func TestEveryStateOfTheGarden(t *testing.T) {
	chromium(t)
	s := newSafe(t)
	ctx := openFor(t, 10*time.Minute)
	mirai, now := s.guest, time.Now()
	open := mirai
	open.Family, open.Class, open.Seen = "", "vulnerable/ddos-amplifier", []garden.Seen{{At: now.Add(-40 * time.Minute), What: "UDP 53"}}
	open.Tests = []string{"UDP 53", "UDP 53 (IPv6)"}
	of := func(g garden.Guest, change func(*garden.Guest)) garden.Guest { change(&g); return g }
	tested := func(found string, ago time.Duration) garden.Guest {
		return of(open, func(g *garden.Guest) { g.Test, g.TestAt = found, now.Add(-ago) })
	}
	for name, g := range map[string]*garden.Guest{
		"steps":     &mirai,
		"unknown":   new(of(mirai, func(g *garden.Guest) { g.Family = "" })),
		"strict":    new(of(mirai, func(g *garden.Guest) { g.Profile = "strict" })),
		"ticked":    new(of(mirai, func(g *garden.Guest) { g.Done = garden.Thing.Steps() })),
		"staff":     new(of(mirai, func(g *garden.Guest) { g.Done, g.SelfLeft = garden.Thing.Steps(), 0 })),
		"asked":     new(of(mirai, func(g *garden.Guest) { g.State = "asked" })),
		"releasing": new(of(mirai, func(g *garden.Guest) { g.State = "releasing" })),
		"test":      &open,
		"testing":   new(tested(garden.TestAsked, 0)),
		"open":      new(tested(garden.TestOpen, time.Hour)),
		"quiet":     new(tested(garden.TestQuiet, time.Minute)),
		"offline":   new(tested(garden.TestOffline, time.Hour)),
		"failed":    new(tested(garden.TestFailed, time.Minute)),
		"free":      nil,
	} {
		if g != nil {
			s.guest = *g
		}
		s.tell(g == nil)
		for _, lang := range []string{"nl", "fr", "de", "en"} {
			for _, night := range []string{"light", "dark"} {
				scheme(t, ctx, night)
				where := name + " " + lang + " " + night
				do(t, ctx, where, chromedp.EmulateViewport(map[string]int64{"light": 390, "dark": 1440}[night], 844), chromedp.Navigate(s.at+"/?lang="+lang), chromedp.WaitVisible(chromedp.CSS("h1")))
				fits(t, ctx, where)
				accessible(t, ctx, where)
				if lang == "nl" && night == "dark" {
					picture(t, ctx, "garden-"+name+"-dark")
				}
			}
		}
	}
	// Twice as large, as somebody reads who sees little (WCAG 2.2, 1.4.4).
	s.guest = open
	s.tell(false)
	scheme(t, ctx, "light")
	do(t, ctx, "twice as large", chromedp.EmulateViewport(720, 450, chromedp.EmulateScale(2)), chromedp.Navigate(s.at+"/?lang=nl"), chromedp.WaitVisible(chromedp.CSS("#test button")))
	fits(t, ctx, "twice as large")
	// The button, by keyboard alone.
	do(t, ctx, "test", chromedp.Evaluate[chromedp.Void](`document.querySelector('button[value=test]').focus({focusVisible:true})`), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS("#test strong")))
	wants(t, ctx, "test", "We testen uw lijn nu", "Tien minuten na een test")
	accessible(t, ctx, "a test was asked for")
	if s.took("test") != 1 {
		t.Errorf("a test is handed in %d times", s.took("test"))
	}
	// What is wrong with a form is said beside it.
	do(t, ctx, "help without a word", chromedp.Click(chromedp.CSS("summary")), chromedp.WaitVisible(chromedp.CSS("#t")), chromedp.SendKeys(chromedp.CSS("#t"), " "), chromedp.Click(chromedp.CSS("button[value=help]")), chromedp.WaitVisible(chromedp.CSS(".error")))
	wants(t, ctx, "help without a word", "Schrijf kort wat er niet lukt")
	accessible(t, ctx, "help without a word")
}
