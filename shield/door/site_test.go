package door

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"bolwerk"
	copies "bolwerk/internal/copy"
	"bolwerk/shield/aid"
	"bolwerk/shield/figures"
)

// publishMore adds to what is published.
func (s *site) publishMore(t testing.TB, entries ...copies.Entry) {
	t.Helper()
	if err := s.Apply(copies.Head{Serial: 2}, entries); err != nil {
		t.Fatal(err)
	}
}

func warningEntry(t testing.TB) copies.Entry {
	e := entry(t, WarningEntry+"K-2026-000012", 1, Warning{Ref: "K-2026-000012", Brand: "Merelbank", Class: "phishing", Channels: []string{"mail", "link"},
		Since: start.Add(-50 * time.Hour), Last: start.Add(-time.Hour), Reports: 120, Names: []string{"merelbank-klant.example", "xn--mrelbank-p4a.example"}, Asked: []string{"card", "otp", "shoe size"}})
	e.Until = start.Add(time.Hour).UnixMicro()
	return e
}

func figuresEntry(t testing.TB) copies.Entry {
	return entry(t, figures.PublicEntry, 1, figures.Public{Operator: "Polder Net", Years: []figures.PublicYear{{Year: 2026, Through: "2026-10",
		Figures: []figures.PublicFigure{{Key: figures.Visits, Total: figures.Cell{N: 1808008}}, {Key: figures.Reports, Total: figures.Cell{N: 44210}, AtLeast: true},
			{Key: figures.Withdrawals, Total: figures.Cell{Mark: figures.Few}}, {Key: figures.Appeals, Total: figures.Cell{Mark: figures.Held}}, {Key: "of a later desk", Total: figures.Cell{N: 1}}},
		Rates:  []figures.Rate{{Key: figures.FalsePositives, Now: figures.Percent{Known: true, AtMost: true, Value: 0.42}}},
		Clocks: []figures.Clock{{Key: figures.ClockDecided, Now: figures.Times{Known: true, P50: 660, P95: 10800}}, {Key: figures.ClockAppeal}}}}})
}

// A text says the same in every language: the same parts, lists, steps, links,
// drawn lines with the same marks, and the same places for numbers to call.
func TestGuidesHaveOneShape(t *testing.T) {
	s := newSite(t, nil, nil)
	shape := func(d doc) string {
		var b strings.Builder
		fmt.Fprintf(&b, "lead %t\n", d.Lead != "")
		for _, p := range d.Parts {
			fmt.Fprintf(&b, "part, head %t\n", p.Head != "")
			for _, l := range p.Blocks {
				fmt.Fprintf(&b, " %s %s %s %d items:", l.Kind, l.Path, l.Look, len(l.Items))
				for _, i := range l.Items {
					fmt.Fprintf(&b, " %t", i.Partners)
				}
				for _, line := range l.Lines {
					fmt.Fprintf(&b, " | %t", line.Button)
					for _, m := range line.Parts {
						b.WriteString(m.Mark)
					}
				}
				b.WriteByte('\n')
			}
		}
		return b.String()
	}
	for name, en := range s.docs[bolwerk.EN] {
		for _, lang := range bolwerk.Langs() {
			d := s.docs[lang][name]
			if got, want := shape(d), shape(en); got != want {
				t.Errorf("%s in %s:\n%swant, as in English:\n%s", name, lang, got, want)
			}
			if lang != bolwerk.EN && (d.Title == en.Title || d.Lead == en.Lead && d.Lead != "") {
				t.Errorf("%s in %s is in English", name, lang)
			}
		}
	}
}

func TestAGuideThatDoesNotFitIsRefused(t *testing.T) {
	for _, bad := range []string{"", "no title", "# t\nlead\n| line without what is drawn", "# t\nlead\n+ mark", "# t\nlead\n[mail]", "# t\nlead\n[partners]", "# t\nlead\n\nempty line", "# t\nlead\n# again"} {
		if d, err := parseDoc(bad); err == nil {
			t.Errorf("%q: got %+v", bad, d)
		}
	}
}

// Every link of the house leads somewhere, in every language, and keeps it.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	s := newSite(t, nil, nil)
	s.publish(t, listedEntry(t, 1, phish), warningEntry(t), figuresEntry(t))
	links, ids := regexp.MustCompile(`href="([^"]+)"`), regexp.MustCompile(` id="([^"]+)"`)
	for _, lang := range bolwerk.Langs() {
		seen, todo := map[string]bool{}, []string{"/?lang=" + string(lang)}
		for len(todo) > 0 {
			at := todo[0]
			todo = todo[1:]
			path, place, _ := strings.Cut(at, "#")
			w := s.get(path)
			if w.Code != 200 {
				t.Fatalf("%s: got %d", at, w.Code)
			}
			body := w.Body.String()
			if place != "" && !strings.Contains(body, ` id="`+place+`"`) {
				t.Errorf("%s: there is no such place: %v", at, ids.FindAllString(body, -1))
			}
			if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
				continue
			}
			if !strings.Contains(body, `<html lang="`+string(lang)+`"`) {
				t.Errorf("%s is not in %s", at, lang)
			}
			if n := strings.Count(body, "<h1"); n != 1 {
				t.Errorf("%s: %d main headings", at, n)
			}
			if m := regexp.MustCompile(`[ >](door|guide)\.[a-z]+\.[a-z.]+`).FindString(body); m != "" {
				t.Errorf("%s: a key for a text: %s", at, m)
			}
			for _, m := range links.FindAllStringSubmatch(body, -1) {
				to := strings.ReplaceAll(m[1], "&amp;", "&")
				u, err := url.Parse(to)
				if err != nil || u.Host != "" || u.Scheme != "" && u.Scheme != "tel" {
					t.Errorf("%s: a link out of the house: %s", at, to)
					continue
				}
				switch {
				case u.Scheme == "tel", strings.HasPrefix(to, "?"), to == "/", seen[to]: // the brand leads home
				case strings.HasPrefix(to, "#"):
					if !strings.Contains(body, ` id="`+to[1:]+`"`) {
						t.Errorf("%s: no place %s", at, to)
					}
				default:
					seen[to] = true
					todo = append(todo, to)
				}
			}
		}
		if len(seen) < 15 {
			t.Errorf("only %d links in %s", len(seen), lang)
		}
	}
}

func TestFirstAidNamesWhomToCall(t *testing.T) {
	s := newSite(t, nil, func(c *Config) {
		c.Partners = aid.Partners{{Kind: aid.CardStop, Name: "Kaart Dicht", Phone: "078 000 001", Abroad: "+32 78 000 001"}, {Kind: aid.IdentityCard, Name: "Kaartmelding", Phone: "0800 00 004"}}
	})
	body := s.get("/first-aid?lang=nl").Body.String()
	card, rest, _ := strings.Cut(body[strings.Index(body, `id="card"`):], `id="otp"`)
	for _, want := range []string{"Kaart Dicht", `href="tel:078000001"`, "(uit het buitenland: &#43;32 78 000 001)"} {
		if !strings.Contains(card, want) {
			t.Errorf("card: no %s in\n%s", want, card)
		}
	}
	if !strings.Contains(rest, "Kaartmelding") || strings.Contains(card, "Kaartmelding") {
		t.Error("the identity card's partner stands in the wrong place")
	}
	for _, k := range aid.Kinds() {
		if !strings.Contains(body, `href="#`+string(k)+`"`) || !strings.Contains(body, `id="`+string(k)+`"`) {
			t.Errorf("no way to %s", k)
		}
	}
}

func TestWarnings(t *testing.T) {
	s := newSite(t, nil, nil)
	if w := s.get("/warnings"); w.Code != 200 || !strings.Contains(w.Body.String(), "cannot show the warnings") {
		t.Errorf("before the copy: got %d", w.Code)
	}
	if w := s.get("/warnings.atom"); w.Code != 503 {
		t.Errorf("the feed before the copy: got %d, want 503: a reader must not take it for empty", w.Code)
	}
	s.publish(t, warningEntry(t))
	for path, want := range map[string][]string{
		"/warnings": {"False messages in the name of Merelbank", "an email that seems to come from Merelbank", "the number of your bank card, a code", "merelbank-klant.example", "about 120"},
		"/":         {`href="/warnings#K-2026-000012"`},
	} {
		body := s.get(path).Body.String()
		for _, part := range want {
			if !strings.Contains(body, part) {
				t.Errorf("%s does not say %q", path, part)
			}
		}
		if strings.Contains(body, `href="http`) || strings.Contains(body, `href="merelbank`) {
			t.Errorf("%s: a blocked name is a link", path)
		}
	}
	var a WarningsAnswer
	if err := json.Unmarshal(s.get("/api/v1/warnings").Body.Bytes(), &a); err != nil || len(a.Warnings) != 1 || a.Warnings[0].Brand != "Merelbank" {
		t.Errorf("got %+v %v", a, err)
	}
	s.clock.Add(time.Hour)
	if body := s.get("/warnings").Body.String(); strings.Contains(body, "Merelbank") || !strings.Contains(body, "no large wave") {
		t.Error("a warning that is over is shown")
	}
}

func TestWarningsFeed(t *testing.T) {
	s := newSite(t, nil, nil)
	e := warningEntry(t)
	e.Body = []byte(strings.Replace(string(e.Body), "Merelbank", `Merel</title><script>&`, 1))
	s.publish(t, e)
	w := s.get("/warnings.atom?lang=de")
	var f feed
	if err := xml.Unmarshal(w.Body.Bytes(), &f); err != nil {
		t.Fatal(err)
	}
	if w.Header().Get("Content-Type") != "application/atom+xml; charset=utf-8" || !strings.Contains(w.Body.String(), `xml:lang="de"`) || len(f.Entries) != 1 {
		t.Fatalf("got %s, %+v", w.Header().Get("Content-Type"), f)
	}
	if got := f.Entries[0]; got.Title != "Falsche Nachrichten im Namen von Merel</title><script>&" || got.Updated != "2026-11-23T12:05:09Z" || got.ID != "https://veilig.polder.example/warnings#K-2026-000012" || f.Updated != got.Updated {
		t.Errorf("got %+v, feed of %s", got, f.Updated)
	}
}

func TestTransparency(t *testing.T) {
	s := newSite(t, nil, nil)
	if w := s.get("/transparency"); w.Code != 200 || !strings.Contains(w.Body.String(), "There are no figures yet") {
		t.Errorf("before there are figures: got %d", w.Code)
	}
	if w := s.get("/api/v1/figures"); w.Code != 404 {
		t.Errorf("got %d, want 404", w.Code)
	}
	s.publish(t, figuresEntry(t))
	body := s.get("/transparency").Body.String()
	for _, want := range []string{"2026, up to and including October 2026", "1,808,008", "at least 44,210", "&lt; 5", "not shown", "≤ 0.4 %", "half within 11 minutes, 95 of 100 within 3 hours"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	var p figures.Public
	if err := json.Unmarshal(s.get("/api/v1/figures").Body.Bytes(), &p); err != nil || p.Years[0].Figures[2].Total.Mark != figures.Few {
		t.Errorf("got %+v %v", p, err)
	}
}

// A link may be pasted as it came, and a name may be written so that nobody
// follows it.
func TestLookUpUnderstandsWhatPeoplePaste(t *testing.T) {
	s := newSite(t, nil, nil)
	s.publish(t, listedEntry(t, 1, phish))
	for _, q := range []string{"evil.example", " EVIL.example. ", "https://evil.example/a/b?c=d#e", "http://user:pass@evil.example:8080/", "hxxps://evil[.]example/x", "hxxp[:]//evil(dot)example",
		"evil[.]example", "evil(.)example", "evil.example/path", "https://evil.example\\@good.example/"} {
		if body := s.get("/name?q=" + url.QueryEscape(q)).Body.String(); !strings.Contains(body, "B-2026-000147") {
			t.Errorf("%q is not found", q)
		}
	}
	body := s.get("/name?q=good.example").Body.String()
	if !strings.Contains(body, "no promise that it is safe") || !strings.Contains(body, `href="/api/v1/names/good.example"`) {
		t.Error("not blocked says too little")
	}
}

// Times are kept to the second: a block in the second of the report came after it.
func TestABlockInTheSameSecondCameAfterTheReport(t *testing.T) {
	s := newSite(t, nil, nil)
	for changed, want := range map[time.Time]string{
		start:                       "We blocked the website less than a minute after your report.",
		start.Add(-time.Second):     "already blocked when you reported it",
		start.Add(61 * time.Second): "1 minute after your report",
		start.Add(90 * time.Minute): "1 hour after your report",
		start.Add(100 * time.Hour):  "4 days after your report",
	} {
		code := bolwerk.NewToken()
		s.publish(t, listedEntry(t, 1, phish), receiptEntry(t, code, 1, Receipt{Kind: "report", State: "blocked", At: start, Changed: changed, Name: phish.Name, Block: phish.Ref}))
		if body := s.get("/r/" + code.Reveal()).Body.String(); !strings.Contains(body, want) || !strings.Contains(body, "fewer than 5 visits") || !strings.Contains(body, "one of the first") {
			t.Errorf("blocked at %s: no %q in\n%s", changed, want, body)
		}
	}
}
