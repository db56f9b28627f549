package demo

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/shield/judge"
	"bolwerk/shield/lists"
)

// The brands, by the names that people know them by.
const (
	operator = "Polder Telecom"
	bank     = "Merelbank"
	post     = "Zwaluwpost"
	tax      = "Tiendekantoor"
	toll     = "Tolpoort"
	energy   = "Windvang Energie"
	locker   = "Pakketnest"
	stream   = "Kijkkist"
	health   = "Mutualité Aubépine"
	market   = "Vlooienplein"
)

func brands() []judge.Brand {
	one := func(shown, token, domain string, more ...string) judge.Brand {
		return judge.Brand{Name: shown, Tokens: append([]string{token}, more...), Domains: []bolwerk.Domain{name(domain)}}
	}
	b := []judge.Brand{
		one(operator, "poldertelecom", "poldertelecom.example", "polder-telecom"),
		one(bank, "merelbank", "merelbank.example"),
		one(post, "zwaluwpost", "zwaluwpost.example"),
		one(tax, "tiendekantoor", "tiendekantoor.example"),
		one(toll, "tolpoort", "tolpoort.example"),
		one(energy, "windvang", "windvang.example"),
		one(locker, "pakketnest", "pakketnest.example"),
		one(stream, "kijkkist", "kijkkist.example"),
		one(health, "aubepine", "aubepine.example"),
		one(market, "vlooienplein", "vlooienplein.example"),
	}
	b[5].Display = []string{"Windvang Energie", "Windvang"}
	b[8].Display = []string{"Mutualité Aubépine", "Aubépine"}
	return b
}

// shop is a well-known shop that was broken into: one of its hosts serves a
// phishing page, and a block of it needs two people.
const shop = "klanten.fietsenhoek.example"

// partner sends the newsletters of several firms; the allow list has it.
const partner = "post.lezersbrief.example"

// Invented popular sites are made of these, first to last by rank.
var (
	things = []string{"fietsen", "boeken", "tuin", "keuken", "schoenen", "reis", "bloemen", "wijn", "brood", "muziek",
		"livres", "jardin", "cuisine", "voyage", "fleurs", "garten", "reise", "blumen", "musik", "kaffee"}
	places = []string{"hoek", "markt", "huis", "plein", "wereld", "atelier", "club", "stube", "coin", "boutique",
		"haven", "kompas", "loods", "kamer", "gazet", "forum", "school", "weide", "brug", "toren"}
)

// sites are the 400 invented popular sites.
func sites() []string {
	out := make([]string, 0, len(things)*len(places))
	for i := range places {
		for j := range things {
			out = append(out, things[j]+places[(i+j/10)%len(places)]+".example")
		}
	}
	return out
}

func allLists(brands []judge.Brand) []List {
	popular, good := []string{}, []string{}
	for _, b := range brands {
		d := b.Domains[0].String()
		popular = append(popular, d)
		good = append(good, d, "www."+d, "mijn."+d, "mail."+d)
	}
	for i, s := range sites() {
		popular = append(popular, s)
		if i < 100 {
			good = append(good, s, "www."+s)
		}
	}
	good = append(good, "bolwerk.example", "www.bolwerk.example", "brandweer.example", "ziekenhuis.example", "112.example", partner)
	feed := []string{feedSentinel}
	for _, c := range campaigns() {
		if c.listed > 0 {
			feed = append(feed, c.hosts[:c.listed]...)
		}
	}
	for i := range 60 {
		feed = append(feed, fmt.Sprintf("%s-ontvangst%d.example", things[i%len(things)], 11+i*7%83))
	}
	return []List{
		{Source: lists.Source{Name: "popular", Kind: lists.Popular, Format: lists.Plain, Ranked: true}, Text: text("the most visited names, first to last", popular)},
		{Source: lists.Source{Name: "known-good", Kind: lists.KnownGood, Format: lists.Plain, MustHave: []bolwerk.Domain{name("112.example")}}, Text: text("names that must resolve whatever we publish", good)},
		{Source: lists.Source{Name: "phish-exchange", Kind: lists.Feed, Format: lists.Plain, MustHave: []bolwerk.Domain{name(feedSentinel)}}, Tier: 2, Text: text("what other operators saw", feed)},
		{Source: lists.Source{Name: "partners", Kind: lists.Allow, Format: lists.Plain}, Tier: 1, Text: text("who sends for us and for our partners", []string{partner, "brandweer.example", "ziekenhuis.example"})},
	}
}

// feedSentinel is the entry without which the feed is not this feed.
const feedSentinel = "test-entry.phish-exchange.example"

func text(title string, names []string) string {
	ascii := make([]string, len(names))
	for i, n := range names {
		ascii[i] = name(n).String()
	}
	return "# Invented for the demo: " + title + "\n" + strings.Join(ascii, "\n") + "\n"
}

// authority has a dozen orders. One is about a name that subscribers report too,
// and one about a name of the known-good set: the technical rails refuse it.
func authority(day time.Time) Authority {
	a := Authority{Name: "nationaal-cert", Public: "Nationaal CERT (demo)", Ground: "Demo act on network security, art. 7",
		MustHave: name("must-have.nationaal-cert.example")}
	about := []string{ordered, "www.boekenmarkt.example"}
	for _, s := range []string{"gratis-munten", "snelle-winst", "erfenis-loket", "krypto-verdubbelaar", "pakje-vrijgeven", "loterij-uitslag", "nep-helpdesk", "medicijn-zonder-recept", "vals-diploma", "gokken-zonder-grens"} {
		about = append(about, s+".example")
	}
	var b strings.Builder
	write := func(v any) {
		line, err := json.Marshal(v)
		if err != nil {
			panic(err) // strings and times: cannot fail
		}
		b.Write(append(line, '\n'))
	}
	b.WriteString("# Invented for the demo: orders of an authority, one a line\n")
	write(map[string]any{"id": "NC-0000", "name": a.MustHave})
	for i, d := range about {
		write(map[string]any{"id": fmt.Sprintf("NC-%04d", i+1), "name": d, "scope": bolwerk.ScopeHost, "version": 1,
			"valid_from": day.Add(-time.Hour), "valid_until": day.Add(time.Duration(20+i) * 24 * time.Hour)})
	}
	a.Text = b.String()
	return a
}

// ordered is a name that both the authority and subscribers know.
var ordered = "tolpoort-openstaand31.example"

// brandOf is the brand of that name.
func brandOf(all []judge.Brand, shown string) judge.Brand {
	i := slices.IndexFunc(all, func(b judge.Brand) bool { return b.Name == shown })
	return all[i]
}
