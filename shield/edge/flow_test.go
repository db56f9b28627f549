package edge

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bolwerk/internal/brand"
	"bolwerk/shield/aid"
)

// What the campaign asks for stands first and open; the rest is behind
// "something else". Each kind has one first step, then whom to call, then the rest.
func TestFlow(t *testing.T) {
	e, _ := pageEdge(t)
	body := get(e, "asks.example", "/?lang=en").Body.String()
	order := []string{"<details open><summary>I already entered my data</summary>", "This website asks for these",
		"<summary>Card number or PIN</summary>", "<strong>Have your card blocked now.</strong>", `<b>Card Shut</b> <a class="n" href="tel:078000001">078 000 001</a>`,
		`from abroad <span class="n">&#43;32 78 000 001</span>`, "24/7", "It never calls you.", "<b>Example Bank</b>", "bank.example/fraud", "Then do this too", "Look whether your card was used",
		"<summary>A code, or I approved", "<summary>Something else</summary>", "<summary>I paid", "<summary>Password</summary>", "Neither we nor your bank"}
	at := 0
	for _, want := range order {
		i := strings.Index(body[at:], want)
		if i < 0 {
			t.Fatalf("%q does not stand where it should in\n%s", want, body)
		}
		at += i
	}
	if body := get(e, "bank-login.example", "/?lang=en").Body.String(); strings.Contains(body, "Something else") || strings.Contains(body, "<details open>") ||
		strings.Count(body, "<summary>") != 1+len(aid.Kinds())+1 {
		t.Error("nothing is known of this one: all kinds stand beside each other")
	}
	e, _ = edgeWith(t, func(c *Config) { c.Partners = nil })
	if body := get(e, "asks.example", "/?lang=en").Body.String(); !strings.Contains(body, "Its number is on your card") || strings.Contains(body, "tel:") {
		t.Error("without partners the page does not say where the number of the bank is")
	}
}

// The page asks for nothing back: the flow needs no script, and its switches are
// no forms.
func TestFlow_keeps_nothing(t *testing.T) {
	e, d := pageEdge(t)
	body := get(e, "asks.example", "/?card=1").Body.String()
	if n := strings.Count(body, "<form"); n != 1 || strings.Contains(body, "<script") {
		t.Errorf("got %d forms, want that of the appeal", n)
	}
	if len(d.got) != 0 {
		t.Errorf("handed in %v", d.got)
	}
}

func TestOptOut(t *testing.T) {
	e, _ := edgeWith(t, func(c *Config) {
		c.OptOut, c.OptOutSite = all("You may choose <no> protection."), "operator.example/choice"
	})
	if body := get(e, "asks.example", "/?lang=en").Body.String(); !strings.Contains(body, "You may choose &lt;no&gt; protection.") || !strings.Contains(body, `<p class="host">operator.example/choice</p>`) {
		t.Errorf("no choice on %s", body)
	}
	if body := get(e, "xn--bcher-kva.example", "/?lang=en").Body.String(); strings.Contains(body, "You may choose") || strings.Contains(body, "operator.example/choice") {
		t.Error("an order is not opted out of")
	}
	for want, change := range map[string]func(*Config){
		"opt_out: has no text in fr": func(c *Config) { c.OptOut = map[string]string{"nl": "x", "de": "x", "en": "x"} },
		"opt_out: \"es\"":            func(c *Config) { c.OptOut = map[string]string{"nl": "x", "fr": "x", "de": "x", "en": "x", "es": "x"} },
		"opt_out_site":               func(c *Config) { c.OptOutSite = "operator.example" },
		"more than 400":              func(c *Config) { c.OptOut = all(strings.Repeat("x", 401)) },
	} {
		c := testConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32"><script>alert(1)</script><path d="M0 0h32v32H0z"/></svg>`

func branded(t testing.TB) brand.Brand {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"logo.svg": svg,
		"nl.toml":  "[warning]\ntitle = \"Stop <b>\"\n", "fr.toml": "[warning]\ntitle = \"Arrêt\"\n", "de.toml": "[warning]\ntitle = \"Halt\"\n", "en.toml": "[warning]\ntitle = \"Stop\"\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return brand.Brand{Name: `Sub "&<script>`, Accent: "#5c2d91", AccentDark: "#d9c2f5", Logo: filepath.Join(dir, "logo.svg"), Texts: dir, Legal: all(`Sub nv </footer><script>`)}
}

func TestBrand(t *testing.T) {
	e, _ := edgeWith(t, func(c *Config) { c.Brand = branded(t) })
	w := get(e, "bank-login.example", "/?lang=nl")
	body := w.Body.String()
	for _, want := range []string{`<title>Stop &lt;b&gt;</title>`, `Sub &#34;&amp;&lt;script&gt;</strong>`, `<img src="data:image/svg&#43;xml`, "a,summary{color:#5c2d91}", "a,summary{color:#d9c2f5}",
		"Sub nv &lt;/footer&gt;", "Deze pagina komt van Sub &#34;&amp;&lt;script&gt;"} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is missing in %s", want, body)
		}
	}
	if strings.Contains(body, "<script") || strings.Contains(body, "ZgotmplZ") || strings.Contains(body, "#0b4a7d") {
		t.Errorf("the brand breaks the page: %s", body)
	}
	if c := w.Header().Get("Content-Security-Policy"); !strings.Contains(c, "img-src data:;") || strings.Contains(c, "unsafe") {
		t.Errorf("got CSP %q", c)
	}
	if c := get(first(pageEdge(t)), "bank-login.example", "/").Header().Get("Content-Security-Policy"); strings.Contains(c, "img-src") {
		t.Errorf("no logo, but the CSP takes pictures: %q", c)
	}
}

func first[A, B any](a A, _ B) A { return a }

// A name, an imitated brand and an issuer that strangers chose.
func TestPage_hostile_values(t *testing.T) {
	e, _, _ := testEdge(t)
	reset(t, e, rule("B-2026-000147", "bad.example", func(r *Rule) {
		r.Brand, r.By, r.Ground, r.Class = `"><script>alert(1)</script>`, `</dd><img src=x>`, ByOrder, `"x`
	}))
	body := get(e, "bad.example", `/?lang="><script>`, "Accept-Language", `"><script>`).Body.String()
	if strings.Contains(body, "<script") || strings.Contains(body, "<img") || !strings.Contains(body, "&lt;img src=x&gt;") {
		t.Errorf("got %s", body)
	}
}

// The heaviest page is bound, and "check" says so.
func TestConfig_Check(t *testing.T) {
	c := testConfig()
	c.Brand = branded(t)
	if err := c.Check(); err != nil {
		t.Errorf("got %v", err)
	}
	// The logo as heavy as it may be, the partners of a country, an opt-out: it fits.
	big := filepath.Join(t.TempDir(), "logo.png")
	if err := os.WriteFile(big, append([]byte("\x89PNG\r\n"), make([]byte, 5114)...), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Brand.Logo, c.OptOut = big, all(strings.Repeat("word ", 40))
	c.Release.Minutes, c.Release.Lines = 30, []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	if err := c.Check(); err != nil {
		t.Errorf("got %v", err)
	}
	for range 30 {
		c.Partners = append(c.Partners, aid.Partner{Kind: aid.Bank, Name: strings.Repeat("x", 60), Note: all(strings.Repeat("x", 200))})
	}
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "at most 20000") {
		t.Errorf("got %v", err)
	}
	c.Brand.Logo = "/nowhere/logo.svg"
	if err := c.Check(); err == nil {
		t.Error("a logo that is not there is no problem")
	}

}
