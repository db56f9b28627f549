package garden

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"bolwerk"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func guest() Guest {
	return Guest{Quarantine: "q1", Ref: "Q-2026-000001", Case: "A-2026-000001", Class: "malicious-code/infected-system", Family: "mirai", Device: "camera", Profile: "leaky",
		Seen: []Seen{{At: noon, What: "mirai, TCP 23"}}, Since: noon, Until: noon.AddDate(0, 0, 30), SelfLeft: 2, State: "active"}
}

func render(t *testing.T, lang bolwerk.Lang, g Guest, o Options) string {
	t.Helper()
	k, err := New(Look{Operator: "Voorbeeld", Phone: "+32 2 000 00 00"})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := k.Render(&b, lang, g, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPlanOf(t *testing.T) {
	for _, c := range []struct {
		class, family, device string
		want                  Plan
	}{
		{"malicious-code/infected-system", "", "", Unknown},
		{"malicious-code/infected-system", "Mirai", "", Thing},
		{"malicious-code/infected-system", "qsnatch", "nas", Stubborn},
		{"malicious-code/infected-system", "android.badbox2", "", Box},
		{"malicious-code/infected-system", "android.hydra", "", Phone},
		{"malicious-code/infected-system", "emotet", "Windows 11", Windows},
		{"malicious-code/infected-system", "", "Mac", Mac},
		{"malicious-code/infected-system", "", "router", Thing},
		{"abusive-content/spam", "", "", Mailing},
		{"vulnerable/ddos-amplifier", "", "", Amplifier},
		{"vulnerable/potentially-unwanted-accessible", "", "", Service},
		{"vulnerable/vulnerable-system", "", "", Service},
		{"intrusion-attempts/brute-force", "", "", Attack},
		{"information-gathering/scanner", "", "", Attack},
		{"availability/ddos", "", "", Attack},
		{"fraud/phishing", "", "", Site},
		{"malicious-code/malware-distribution", "", "", Site},
		{"something new", "", "", Attack},
	} {
		if got := PlanOf(c.class, c.family, c.device); got != c.want {
			t.Errorf("%s %q %q: plan %s, want %s", c.class, c.family, c.device, got, c.want)
		}
	}
	g := Guest{Class: "malicious-code/infected-system"}
	if g.Done = Windows.Steps(); !g.Complete() {
		t.Error("a guest who chose Windows is not done after its steps")
	}
	if g = guest(); g.Complete() {
		t.Error("nothing is done, and all is")
	}
	if g.Done = Windows.Steps(); g.Complete() {
		t.Error("steps for another device than the one that we know count")
	}
	g = Guest{Class: "malicious-code/infected-system"}
	if g.Plan("mac") != Mac || g.Plan("box") != Unknown || guest().Plan("mac") != Thing {
		t.Error("a guest chooses where we do not know the device, and only there")
	}
}

// sentences are those of a text, as a reader meets them.
func sentences(s string) []string { return regexp.MustCompile(`[.:?!](?:\s|$)`).Split(s, -1) }

func TestTextsAreWholeAndPlain(t *testing.T) {
	texts, err := Texts()
	if err != nil {
		t.Fatal(err)
	}
	buy := regexp.MustCompile(`(?i)\b(koop|koopt|aankopen|achète|achetez|acheter|kauf|kaufen|buy|purchase)\b`)
	for p, ids := range steps {
		for _, lang := range bolwerk.Langs() {
			keys := []string{"garden.plan." + string(p)}
			for _, id := range ids {
				keys = append(keys, "garden.step."+id+".do", "garden.step."+id+".why")
			}
			for _, key := range keys {
				if !texts.Has(key) {
					t.Fatalf("%s has no text %s", lang, key)
				}
				text := texts.T(lang, key)
				for _, s := range sentences(text) {
					if n := len(strings.Fields(s)); n > 22 {
						t.Errorf("%s %s: a sentence of %d words, at most 22: %s", lang, key, n, s)
					}
				}
				if n := len(strings.Fields(text)); n > 32 {
					t.Errorf("%s %s: %d words, at most 32", lang, key, n)
				}
				if buy.MatchString(text) {
					t.Errorf("%s %s: nobody has to buy anything: %s", lang, key, text)
				}
			}
		}
	}
	for _, key := range []string{"lead", "help_text", "releasing", "requested", "release_text", "who_text", "free_soon"} {
		for _, lang := range bolwerk.Langs() {
			for _, s := range sentences(texts.T(lang, "garden."+key, "x")) {
				if n := len(strings.Fields(s)); n > 22 {
					t.Errorf("%s %s: a sentence of %d words: %s", lang, key, n, s)
				}
			}
		}
	}
	for _, lang := range bolwerk.Langs() {
		if n := len(strings.Fields(texts.T(lang, "garden.months"))); n != 12 {
			t.Errorf("%s has %d months", lang, n)
		}
	}
}

func TestRender(t *testing.T) {
	form := Options{Action: "/go", Token: guest().Token()}
	for _, lang := range bolwerk.Langs() {
		page := render(t, lang, guest(), form)
		if len(page) > MaxPage {
			t.Errorf("%s: %d octets, at most %d", lang, len(page), MaxPage)
		}
		for _, not := range []string{"<script", "http://", "https://", "src="} {
			if strings.Contains(page, not) {
				t.Errorf("%s: the page has %s: it must be whole by itself", lang, not)
			}
		}
		for _, id := range Thing.Steps() {
			if !strings.Contains(page, `id="`+id+`"`) {
				t.Errorf("%s: no step %s", lang, id)
			}
		}
		if strings.Contains(page, `value="release"`) {
			t.Errorf("%s: release is offered before the steps are done", lang)
		}
	}
	g := guest()
	g.Done = Thing.Steps()
	if page := render(t, bolwerk.NL, g, form); !strings.Contains(page, `value="release"`) || !strings.Contains(page, "5 van 5 klaar") {
		t.Error("all is done, and release is not offered")
	}
	g.SelfLeft = 1
	if page := render(t, bolwerk.EN, g, form); strings.Contains(page, "1 more times") || !strings.Contains(page, "still do this yourself: 1.") {
		t.Error("once more is not said well")
	}
	g.SelfLeft = 0
	if page := render(t, bolwerk.NL, g, form); strings.Contains(page, `value="release"`) || !strings.Contains(page, "<details open>") || !strings.Contains(page, "Deze keer openen we uw internet samen") {
		t.Error("a guest who may not open the line alone is not led to help")
	}
	g.State = "releasing"
	page := render(t, bolwerk.NL, g, form)
	if strings.Contains(page, `value="done"`) || !strings.Contains(page, "Uw internet gaat weer open") || !strings.Contains(page, "Kijk opnieuw") {
		t.Error("the page does not say that the line is being opened")
	}
	if page = render(t, bolwerk.NL, Guest{}, Options{Free: true}); !strings.Contains(page, "niet in de veilige omgeving") || strings.Contains(page, "<form") {
		t.Error("a line that is free is shown a garden")
	}
	if page = render(t, bolwerk.NL, guest(), Options{}); strings.Contains(page, "<form") {
		t.Error("a page to read has forms")
	}
	if page = render(t, bolwerk.NL, guest(), Options{Staff: true}); !strings.Contains(page, "Zo ziet de klant de pagina") || !strings.Contains(page, `href="?in=de"`) || strings.Contains(page, "<form") {
		t.Error("the helpdesk does not see that it is the helpdesk's look")
	}
	nasty := guest()
	nasty.Device, nasty.Seen = `<script>alert(1)</script>`, []Seen{{At: noon, What: `"><b>`}}
	if page = render(t, bolwerk.EN, nasty, form); strings.Contains(page, "<script>") || strings.Contains(page, `"><b>`) {
		t.Error("what was seen is not escaped")
	}
}

func TestPart(t *testing.T) {
	k, err := New(Look{Operator: "Voorbeeld"})
	if err != nil {
		t.Fatal(err)
	}
	title, part, err := k.Part(bolwerk.NL, guest(), Options{})
	if err != nil || !strings.Contains(title, "veilige omgeving") || strings.Contains(string(part), "<html") || strings.Contains(string(part), "style") || !strings.Contains(string(part), "Trek") && !strings.Contains(string(part), "stekker") {
		t.Errorf("%v: %s", err, part)
	}
}

func TestEvent_Check(t *testing.T) {
	ok := Event{ID: "1", Quarantine: "q1", What: "done", Step: "t_power", At: noon}
	if err := ok.Check(); err != nil {
		t.Error(err)
	}
	for _, f := range []func(*Event){func(e *Event) { e.ID = "" }, func(e *Event) { e.Quarantine = "" }, func(e *Event) { e.What = "free" }, func(e *Event) { e.Step = "nothing" },
		func(e *Event) { e.At = time.Time{} }, func(e *Event) { e.Text = strings.Repeat("x", 4*MaxText+1) }, func(e *Event) { e.Contact = strings.Repeat("x", 255) }} {
		e := ok
		if f(&e); e.Check() == nil {
			t.Errorf("%+v is taken", e)
		}
	}
}
