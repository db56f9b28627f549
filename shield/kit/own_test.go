package kit

import (
	"slices"
	"strings"
	"testing"
)

// page makes a page of a title, a body and scripts.
func page(host, title, body string, js ...string) *Page {
	src := "<html><head><title>" + title + "</title></head><body>" + body + "</body></html>"
	return &Page{Title: title, Hostname: host, HTML: src, DOM: src, JS: js, Requests: []string{"https://" + host + "/"}}
}

const (
	cardField   = `<form action="a"><input name="cardnumber">`
	cvcField    = `<input name="cvc"></form>`
	banksNL     = `<button>Rabobank</button><button>ABN AMRO</button><button>ING</button>`
	banksBE     = `<button>KBC</button><button>Belfius</button><button>Argenta</button>`
	phoneField  = `<form><input type="tel" name="gsm"></form>`
	polls       = `setInterval(function(){fetch("s")},2000)`
	filesInputs = `<form><input type="file" name="front"></form>`
)

// Each of our rules knows a page of our own making; the pages beside it lack one
// thing each, and no rule knows them.
var ownPages = map[string]struct {
	hit  *Page
	miss []*Page
	own  string // a host of the brand itself, where nothing is known
}{
	"telegram-drop": {
		hit:  page("a.example", "Bank", `<form><input type="password"></form>`, `fetch("https://api.telegram.org/bot123456789:AAabcdefghijklmnopqrstuvwxyz0123456/sendMessage")`),
		miss: []*Page{page("a.example", "Bots", `<p>x</p>`, `fetch("https://api.telegram.org/bot123456789:AAabcdefghijklmnopqrstuvwxyz0123456/sendMessage")`), page("a.example", "Docs", `<form><input type="password"></form>`, `// https://api.telegram.org/bot<token>/sendMessage`)},
	},
	"live-panel-be": {
		hit:  page("a.example", "Even geduld", `<img alt="Argenta"><p>Even geduld, sluit deze pagina niet.</p><input type="hidden" name="id">`, polls),
		miss: []*Page{page("a.example", "Even geduld", `<img alt="Argenta"><p>Even geduld.</p><input type="hidden">`), page("a.example", "x", `<p>Even geduld.</p><input type="hidden">`, polls)},
		own:  "homebank.argenta.be",
	},
	"live-panel-nl": {
		hit:  page("a.example", "Even geduld", `<img alt="Rabobank"><p>Een ogenblik geduld</p><input type="hidden" name="id">`, polls),
		miss: []*Page{page("a.example", "Nieuws", `<p>Rabobank verlaagt rente</p><input type="text">`, polls), page("a.example", "x", `<p>Rabobank. Een ogenblik geduld</p>`, polls)},
		own:  "bankieren.rabobank.nl",
	},
	"itsme-reactivate": {
		hit:  page("a.example", "itsme® - uw digitale ID", `<p>Uw itsme-account is geblokkeerd.</p>`+phoneField),
		miss: []*Page{page("a.example", "itsme", `<p>Log in met itsme</p>`+phoneField), page("krant.example", "Nieuws", `<p>itsme heractiveren is phishing</p>`+phoneField)},
		own:  "www.itsme-id.com",
	},
	"itsme-bank-choice": {
		hit:  page("a.example", "itsme: kies uw bank", banksBE+cardField),
		miss: []*Page{page("a.example", "itsme: kies uw bank", banksBE), page("a.example", "Kies uw bank", banksBE+cardField)},
		own:  "my.itsme.be",
	},
	"reader-codes-be": {
		hit:  page("a.example", "Aanmelden", `<p>Crelan</p>`+cardField+`<input name="responscode">`),
		miss: []*Page{page("a.example", "Aanmelden", `<p>Crelan</p><input name="responscode">`), page("a.example", "Aanmelden", `<p>Merelbank</p>`+cardField+`<input name="responscode">`)},
		own:  "www.crelan.be",
	},
	"new-reader-be": {
		hit:  page("a.example", "Vraag aan", `<h1>Uw nieuwe kaartlezer van Belfius</h1>`+cardField),
		miss: []*Page{page("a.example", "Vraag aan", `<h1>Uw nieuwe kaartlezer van Belfius</h1>`), page("winkel.example", "Winkel", `<h1>Uw nieuwe telefoon</h1><p>Betaal met Belfius</p>`+cardField)},
		own:  "www.belfius.be",
	},
	"kbc-card": {
		hit:  page("a.example", "KBC - Aanmelden", `<p>Neem uw kaartlezer</p>`+cardField),
		miss: []*Page{page("a.example", "KBCD radio", `<p>kaartlezer</p>`+cardField), page("a.example", "KBC - Aanmelden", `<p>Neem uw kaartlezer</p>`)},
		own:  "www.kbc.be",
	},
	"belfius-enrolment": {
		hit:  page("a.example", "Belfius | Inschrijving", cardField+`<input name="geboortedatum"><input type="tel" name="gsm">`),
		miss: []*Page{page("a.example", "Belfius | Inschrijving", cardField+`<input type="tel" name="gsm">`), page("a.example", "Winkel", cardField+`<input name="geboortedatum"><input type="tel" name="gsm">`)},
		own:  "belfius.be",
	},
	"bpost-fee": {
		hit:  page("a.example", "Uw pakket | bpost", `<p>bpost: betaal de douanekosten van € 1,99</p>`+cardField+cvcField),
		miss: []*Page{page("a.example", "Uw pakket | bpost", `<p>bpost: betaal de douanekosten van € 1,99</p>`), page("winkel.example", "Bestelling afronden", `<p>Verzendkosten met bpost: € 4,95</p>`+cardField+cvcField)},
		own:  "track.bpost.cloud",
	},
	"bpost-app": {
		hit:  page("a.example", "bpost - volg uw pakket", `<a href="bpost.apk">Installeer de app</a>`),
		miss: []*Page{page("a.example", "bpost - volg uw pakket", `<a href="https://play.google.com/store/apps/details?id=bpost">Installeer de app</a>`), page("a.example", "Apps", `<a href="bpost.apk">Installeer de app</a>`)},
		own:  "www.bpost.be",
	},
	"postnl-fee": {
		hit:  page("a.example", "PostNL | Uw zending", `<p>PostNL: verzendkosten € 1,45</p>`+banksNL),
		miss: []*Page{page("a.example", "PostNL | Uw zending", `<p>PostNL: uw zending komt vandaag</p>`+banksNL), page("a.example", "Afrekenen", `<p>PostNL: verzendkosten € 4,45</p>`+banksNL)},
		own:  "jouw.postnl.nl",
	},
	"one-cent": {
		hit:  page("a.example", "Veilig betalen", `<p>Betaal € 0,01 aan de koper op Marktplaats</p>`+banksNL),
		miss: []*Page{page("a.example", "Veilig betalen", `<p>Betaal € 5,01 aan de koper op Marktplaats</p>`+banksNL), page("a.example", "Bankrekening koppelen", `<p>Betaal € 0,01 aan de gemeente</p>`+banksNL)},
		own:  "tikkie.me",
	},
	"finance-refund-be": {
		hit:  page("a.example", "MyMinfin", `<p>FOD Financiën: uw terugbetaling van 278,35 euro</p>`+banksBE),
		miss: []*Page{page("krant.example", "Nieuws", `<p>FOD Financiën: terugbetaling begint in juli</p>`), page("a.example", "MyMinfin", `<p>FOD Financiën</p>`+banksBE)},
		own:  "myminfin.fgov.be",
	},
	"tax-debt-nl": {
		hit:  page("a.example", "Betalen", `<p>Belastingdienst: uw schuld gaat naar de deurwaarder</p>`+banksNL),
		miss: []*Page{page("krant.example", "Nieuws", `<p>Belastingdienst: minder mensen met schuld</p>`), page("a.example", "Betalen", `<p>Belastingdienst</p>`+banksNL)},
		own:  "mijn.belastingdienst.nl",
	},
	"digid-bank-account": {
		hit:  page("a.example", "DigiD", `<p>Koppel uw rekening</p><form><input name="iban"></form>`),
		miss: []*Page{page("gemeente.example", "Kwijtschelding aanvragen", `<p>Log in met DigiD en koppel uw rekening</p><form><input name="iban"></form>`), page("a.example", "DigiD", `<p>Koppel uw telefoon</p><form><input name="tel"></form>`)},
		own:  "mijn.digid.nl",
	},
	"digid-again": {
		hit:  page("a.example", "DigiD | Inloggen", `<p>Uw sleutel is verouderd</p><form><input type="password"></form>`),
		miss: []*Page{page("school.example", "Inloggen", `<p>Uw sleutel is verouderd. Gebruik DigiD.</p><form><input type="password"></form>`), page("a.example", "DigiD | Inloggen", `<form><input type="password"></form>`)},
		own:  "www.digid.nl",
	},
	"digid-document": {
		hit:  page("a.example", "DigiD identificatie", `<p>Stuur uw paspoort</p>`+filesInputs),
		miss: []*Page{page("bank.example", "Klant worden", `<p>Stuur uw paspoort, of gebruik DigiD</p>`+filesInputs), page("a.example", "DigiD identificatie", `<p>Stuur nooit uw paspoort</p>`)},
		own:  "digid.nl",
	},
	"allowance-nl": {
		hit:  page("a.example", "Rijksoverheid", `<p>Rijksoverheid: vraag uw energietoeslag aan</p><form><input name="iban"><input type="password"></form>`),
		miss: []*Page{page("krant.example", "Nieuws", `<p>Rijksoverheid stopt met energietoeslag</p>`), page("a.example", "Rijksoverheid", `<p>Rijksoverheid</p><form><input name="iban"><input type="password"></form>`)},
		own:  "www.rijksoverheid.nl",
	},
	"mondial-relay-card": {
		hit:  page("a.example", "Mondial Relay", cardField+cvcField),
		miss: []*Page{page("winkel.example", "Afrekenen", `<p>Mondial Relay</p>`+cardField+cvcField), page("a.example", "Mondial Relay", cardField)},
		own:  "www.mondialrelay.be",
	},
}

func ids(hits []Hit) (out []string) {
	for _, h := range hits {
		out = append(out, h.Rule.ID)
	}
	return out
}

func TestOurRulesKnowTheirPagesAndNoOther(t *testing.T) {
	set := Own()
	if set.Len() != 20 || set.Len() != len(ownPages) {
		t.Errorf("%d rules, pages for %d: want 20", set.Len(), len(ownPages))
	}
	for _, r := range set.Rules() {
		p, ok := ownPages[r.ID]
		if !ok {
			t.Errorf("%s has no page", r.ID)
			continue
		}
		if got := ids(set.Match(p.hit)); !slices.Contains(got, r.ID) {
			t.Errorf("%s does not know its page (got %v)", r.ID, got)
		}
		for i, m := range p.miss {
			if got := ids(set.Match(m)); len(got) > 0 {
				t.Errorf("%s: near miss %d is known by %v", r.ID, i+1, got)
			}
		}
		if p.own == "" {
			continue
		}
		at := *p.hit
		at.Hostname = p.own
		if got := ids(set.Match(&at)); slices.Contains(got, r.ID) {
			t.Errorf("%s knows the brand's own site %s", r.ID, p.own)
		}
		// A foreign name that ends like the brand's own is foreign.
		at.Hostname = "x-" + strings.TrimPrefix(p.own, "www.")
		if i := strings.IndexByte(p.own, '.'); strings.Count(p.own, ".") > 1 {
			at.Hostname = "x-" + p.own[i+1:]
		}
		if got := ids(set.Match(&at)); !slices.Contains(got, r.ID) {
			t.Errorf("%s is deceived by the host %s", r.ID, at.Hostname)
		}
	}
}

// What reviewers of rules ask for: two parts of a page at least, references, and
// no rule that hangs on the name of a script that receives.
func TestOurRulesAreFitForReview(t *testing.T) {
	for _, r := range Own().Rules() {
		if len(r.names) < 2 {
			t.Errorf("%s has one search", r.ID)
		}
		if len(r.References) == 0 || r.Description == "" || len(r.Tags) == 0 {
			t.Errorf("%s: no reference, description or tags", r.ID)
		}
		fields := r.Fields()
		if fields = slices.DeleteFunc(fields, func(f string) bool { return f == "hostname" }); len(fields) < 2 && len(r.names) < 4 {
			t.Errorf("%s looks at %v only", r.ID, fields)
		}
		for name, tests := range r.searches {
			for _, f := range tests {
				if f.field == "requests" || f.field == "headers" {
					t.Errorf("%s: %s hangs on a request", r.ID, name)
				}
				for _, text := range f.text {
					if strings.HasSuffix(text, ".php") {
						t.Errorf("%s: %s hangs on %s", r.ID, name, text)
					}
				}
			}
		}
		if !r.Kit() && !r.Flow() {
			t.Errorf("%s says neither kit nor flow", r.ID)
		}
	}
}
