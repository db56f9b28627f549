// Package content looks at a page that a probe fetched: what it asks visitors
// for, which brand it shows itself as, and what it is built of. Everything in it
// is a pure function of the capture, so that a case can be judged again and gives
// the same answer. It walks tokens and keeps no tree: strangers choose the depth.
package content

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"bolwerk"
	"bolwerk/internal/suffix"
	"bolwerk/shield/aid"
	"bolwerk/shield/capture"
	"bolwerk/shield/judge"
)

// Bounds of what is kept of one page.
const (
	maxForms  = 50
	maxFields = 200 // of all forms
	maxText   = 300 // octets of one text: a title, a label
	maxAssets = 100
)

// Ask is one kind of thing that a page asks visitors for.
type Ask string

// What pages ask for. Password by itself is what any log-in asks for.
const (
	Password Ask = "password"
	Card     Ask = "card"     // number or code of a payment card, or its PIN
	OTP      Ask = "otp"      // a one-time code of an SMS, an app or a card reader
	Itsme    Ask = "itsme"    // an approval in itsme
	DigiD    Ask = "digid"    // a log-in or an approval of DigiD
	IBAN     Ask = "iban"     // number of a bank account
	Identity Ask = "identity" // national number, or number or picture of an identity document
)

// kindOf is an Ask in the words of first aid.
var kindOf = map[Ask]aid.Kind{Password: aid.Password, Card: aid.Card, OTP: aid.OTP, Itsme: aid.OTP, DigiD: aid.OTP, IBAN: aid.IBAN, Identity: aid.ID}

// Facts are what was seen on one page, without a judgement.
type Facts struct {
	// URL is of the page at the end of all redirects, Host its host name; zero for
	// a bare address. The evidence is about Host.
	URL  string         `json:"url"`
	Host bolwerk.Domain `json:"host"`
	// Status is the last answer's; 0 where nothing answered, and Failed says why.
	Status int    `json:"status"`
	Failed string `json:"failed,omitempty"`
	Title  string `json:"title,omitempty"`
	Lang   string `json:"lang,omitempty"` // of <html lang>, two letters
	// Forms are those that ask for something, in order.
	Forms []Form `json:"forms,omitempty"`
	// Asks is everything that they ask for, in the order of the constants.
	Asks []Ask `json:"asks,omitempty"`
	// Marks are the ways in which the page shows itself as a brand.
	Marks []Mark `json:"marks,omitempty"`
	// DOM is the simhash of the page's tags and attributes; 0 where it has too few.
	DOM uint64 `json:"dom,string,omitempty"`
	// Assets are scripts, styles and icons that were fetched; the own ones are of
	// the page's own host.
	Assets []Asset `json:"assets,omitempty"`
	// Cut says that the page goes on behind what was looked at.
	Cut bool `json:"cut,omitempty"`
}

// Form is one form that asks for something.
type Form struct {
	// Action is where it sends, absolute; the page itself where the form says
	// nothing. Off says that this is another registrable domain, Plain that it goes
	// without TLS. Loose fields stand in no form: a script sends them.
	Action string `json:"action"`
	Off    bool   `json:"off,omitempty"`
	Plain  bool   `json:"plain,omitempty"`
	Loose  bool   `json:"loose,omitempty"`
	Asks   []Ask  `json:"asks"`
	// Fields are names of the fields that ask, at most five.
	Fields []string `json:"fields,omitempty"`
}

// Mark is one way in which a page shows itself as a brand.
type Mark struct {
	Brand string `json:"brand"`
	// Where is a stable code: title, site_name, logo, copyright, icon, assets.
	Where string `json:"where"`
	Text  string `json:"text"`
}

// Asset is a file that the page is built of.
type Asset struct {
	Kind   capture.Kind `json:"kind"`
	Path   string       `json:"path"`
	SHA256 string       `json:"sha256"`
	Own    bool         `json:"own,omitempty"`
}

// Aid is what the page asks for in the words of the warning page.
func (f Facts) Aid() (s aid.Set) {
	for _, a := range f.Asks {
		s |= aid.Of(kindOf[a])
	}
	return s
}

// Look tells what a capture shows, and what follows from it for the host at its
// end. brands may be nil; psl says which hosts have one owner. Of a page that was not fetched it says failed or no_data,
// never clean: a page that hides is not a page that is harmless.
func Look(b *capture.Bundle, brands *judge.Brands, psl *suffix.List) (Facts, []judge.Evidence) {
	f := Facts{URL: b.Final(), Failed: b.Failed}
	at, err := url.Parse(f.URL)
	if err != nil {
		at = &url.URL{}
	}
	f.Host, _ = bolwerk.ParseDomain(at.Hostname())
	if n := len(b.Hops); n > 0 {
		f.Status = b.Hops[n-1].Status
	}
	if b.Failed != "" {
		return f, []judge.Evidence{say(judge.Failed, 3, b.Failed, "", "the page could not be fetched as %s: %s", b.Profile, clip(b.Detail))}
	}
	src := pages(b)
	if len(src) == 0 {
		return f, []judge.Evidence{say(judge.NoData, 3, "no_page", "", "it answered %d without a page", f.Status)}
	}
	var marks []Mark
	for i, one := range src {
		p := walk(one.data, one.base, i == 0)
		f.Cut = f.Cut || p.cut || one.cut
		f.Forms = append(f.Forms, p.sensitive(at, psl)...)
		if i == 0 {
			f.Title, f.Lang, f.DOM = p.title, p.lang, p.shingles.hash()
			marks = p.marks(brands)
		}
	}
	f.Forms = f.Forms[:min(len(f.Forms), maxForms)]
	for _, a := range []Ask{Password, Card, OTP, Itsme, DigiD, IBAN, Identity} {
		if slices.ContainsFunc(f.Forms, func(f Form) bool { return slices.Contains(f.Asks, a) }) {
			f.Asks = append(f.Asks, a)
		}
	}
	f.Assets = assets(b, at.Hostname())
	for _, a := range f.Assets {
		if a.Kind == capture.Icon {
			if brand := brands.ByIcon(a.SHA256); brand != "" {
				marks = append(marks, Mark{brand, "icon", a.Path})
			}
		}
	}
	f.Marks = marks
	return f, f.evidence(brands)
}

type source struct {
	data []byte
	base string
	cut  bool
}

// pages are the page as a visitor has it, then its frames.
func pages(b *capture.Bundle) (out []source) {
	for _, k := range []capture.Kind{capture.DOM, capture.HTML} {
		if data := b.Of(k); len(data) > 0 && len(out) == 0 {
			i := slices.IndexFunc(b.Parts, func(p capture.Part) bool { return p.Kind == k })
			out = append(out, source{data, b.Final(), b.Parts[i].Cut})
		}
	}
	for _, p := range b.Parts {
		if p.Kind == capture.Frame && len(out) > 0 {
			out = append(out, source{b.Data[p.SHA256], p.URL, p.Cut})
		}
	}
	return out
}

func assets(b *capture.Bundle, host string) (out []Asset) {
	for _, p := range b.Parts {
		if p.Kind != capture.Script && p.Kind != capture.Style && p.Kind != capture.Icon || p.Size == 0 || p.Status >= 400 || len(out) == maxAssets {
			continue
		}
		u, err := url.Parse(p.URL)
		if err != nil {
			continue
		}
		out = append(out, Asset{p.Kind, clip(u.Path), p.SHA256, u.Hostname() == host})
	}
	return out
}

// say is one piece of evidence of the page. There is one source: two things that
// one page shows do not confirm each other.
func say(w judge.Word, tier judge.Tier, reason, brand, format string, a ...any) judge.Evidence {
	return judge.Evidence{Family: judge.FamilyContent, Source: "page", Tier: tier, Verdict: w, Reason: reason, Brand: brand, Detail: fmt.Sprintf(format, a...)}
}

// evidence is what follows from the facts:
//
//   - on a brand's own host nothing does;
//   - a foreign host that shows itself as a brand and asks for something that the
//     brand's customers guard: malicious (brand_form), or suspicious where a single
//     mark says so;
//   - one that shows itself as a brand and asks for nothing: suspicious (brand_page);
//   - passwords or codes that go to another domain: suspicious (form_off_domain);
//   - card, codes, account and identity asked for together, or any of them without
//     TLS: suspicious of tier 3 (asks_much, form_plain).
//
// A log-in by itself is no_data: half of the web has one.
func (f Facts) evidence(brands *judge.Brands) (out []judge.Evidence) {
	if own := brands.Owner(f.Host); own != "" {
		return []judge.Evidence{say(judge.NoData, 3, "own_page", own, "the page is %s's own", own)}
	}
	asks := strings.Join(words(f.Asks), ", ")
	brand, where, sure := f.shows()
	switch {
	case brand != "" && len(f.Asks) > 0 && sure:
		out = append(out, say(judge.Malicious, 2, "brand_form", brand, "the page shows itself as %s (%s), stands on %s and asks for %s", brand, where, f.Host, asks))
	case brand != "" && len(f.Asks) > 0:
		out = append(out, say(judge.Suspicious, 2, "brand_form", brand, "the page names %s (%s), stands on %s and asks for %s", brand, where, f.Host, asks))
	case brand != "" && sure:
		out = append(out, say(judge.Suspicious, 3, "brand_page", brand, "the page shows itself as %s (%s) and stands on %s", brand, where, f.Host))
	}
	for _, form := range f.Forms {
		guarded := slices.DeleteFunc(slices.Clone(form.Asks), func(a Ask) bool { return a == Card || a == IBAN })
		if form.Off && len(guarded) > 0 && brands.Owner(hostOf(form.Action)) == "" {
			out = append(out, say(judge.Suspicious, 2, "form_off_domain", brand, "what it asks for (%s) goes to %s", strings.Join(words(guarded), ", "), hostText(form.Action)))
			break
		}
	}
	for _, form := range f.Forms {
		if form.Plain {
			out = append(out, say(judge.Suspicious, 3, "form_plain", brand, "what it asks for (%s) goes to %s without TLS", strings.Join(words(form.Asks), ", "), hostText(form.Action)))
			break
		}
	}
	if kinds := f.Aid().Names(); len(kinds) >= 3 {
		out = append(out, say(judge.Suspicious, 3, "asks_much", brand, "the page asks for %s: no shop asks for all of these", asks))
	}
	if len(out) == 0 && len(f.Asks) > 0 {
		out = append(out, say(judge.NoData, 3, "form", "", "the page asks for %s", asks))
	}
	if len(out) == 0 {
		out = append(out, say(judge.NoData, 3, "nothing_asked", "", "the page answered %d and asks for nothing", f.Status))
	}
	return out
}

// shows is the brand that the page shows itself as, with how; sure where two
// marks agree. A logo or files of the brand are on the page of any shop that it
// delivers for: by themselves they say nothing, and neither do both of them.
func (f Facts) shows() (brand, where string, sure bool) {
	type count struct{ all, own []string }
	of := map[string]*count{}
	for _, m := range f.Marks {
		c := of[m.Brand]
		if c == nil {
			c = &count{}
			of[m.Brand] = c
		}
		if !slices.Contains(c.all, m.Where) {
			c.all = append(c.all, m.Where)
			if m.Where != "logo" && m.Where != "assets" {
				c.own = append(c.own, m.Where)
			}
		}
	}
	best := 0
	for _, m := range f.Marks { // in the order of the page: the same answer each time
		if c := of[m.Brand]; len(c.own) > 0 && len(c.all) > best {
			best, brand, where = len(c.all), m.Brand, strings.Join(c.all, ", ")
		}
	}
	return brand, where, best >= 2
}

// Brand is the brand that the page shows itself as; empty where it shows none.
func (f Facts) Brand() string {
	brand, _, _ := f.shows()
	return brand
}

func words(asks []Ask) []string {
	out := make([]string, len(asks))
	for i, a := range asks {
		out[i] = string(a)
	}
	return out
}

func hostOf(raw string) bolwerk.Domain {
	u, err := url.Parse(raw)
	if err != nil {
		return bolwerk.Domain{}
	}
	d, _ := bolwerk.ParseDomain(u.Hostname())
	return d
}

func hostText(raw string) string {
	if u, err := url.Parse(raw); err == nil && u.Host != "" {
		return u.Host
	} else if err == nil && u.Scheme != "" {
		return u.Scheme + ":"
	}
	return "an address that cannot be read"
}

// clip is a text of a stranger in one line and within its bound.
func clip(s string) string {
	s = strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "")
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}
