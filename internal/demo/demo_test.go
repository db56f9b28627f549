package demo

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/mail"
	"bolwerk/internal/suffix"
	"bolwerk/shield/door"
	"bolwerk/shield/judge"
	"bolwerk/shield/lists"
	"bolwerk/shield/reading"
)

var day = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func read(t *testing.T, r Report) reading.Result {
	t.Helper()
	switch {
	case r.Raw != nil:
		return reading.Mail(r.Raw, reading.Option{})
	case r.URL != "":
		return reading.Link(r.URL)
	case r.Text != "":
		return reading.Text(r.Text)
	}
	t.Fatalf("report %s is empty", r.ID)
	return reading.Result{}
}

func hosts(r reading.Result) []string {
	out := []string{}
	for _, u := range r.Wanted() {
		if !slices.Contains(out, u.Host) {
			out = append(out, u.Host)
		}
	}
	return out
}

func TestReports_are_read_as_meant(t *testing.T) {
	kinds, channels, langs, guessed := map[reading.Kind]int{}, map[door.Channel]int{}, map[bolwerk.Lang]int{}, 0
	w := New(day)
	for _, r := range Reports(w) {
		got := read(t, r)
		if got.Kind != r.want.kind || !slices.Equal(hosts(got), append([]string{}, r.want.hosts...)) || (got.Drill != "") != r.want.drill {
			t.Errorf("report %s (%s): kind %s, hosts %v, drill %q; want %+v\n%s", r.ID, r.Channel, got.Kind, hosts(got), got.Drill, r.want, r.Raw)
		}
		if len(got.Warnings) > 0 && r.want.campaign >= 0 {
			t.Errorf("report %s: warnings %q", r.ID, got.Warnings)
		}
		if r.Channel == door.ByMail && (got.Outer == nil || got.Outer.From != r.MailFrom || got.Outer.Automatic()) {
			t.Errorf("report %s: outer mail %+v, want it from %s and by a person", r.ID, got.Outer, r.MailFrom)
		}
		if r.Channel == door.ByMail && got.Outer != nil {
			to, why := mail.MayAnswer(mail.Outer{From: []string{got.Outer.From}, ReturnPath: r.MailFrom, Proved: true}, []mail.Address{w.ReportTo, w.AnswerFrom})
			if why != "" || to.String() != r.MailFrom {
				t.Errorf("report %s: answered to %s, %q", r.ID, to, why)
			}
		}
		for line := range bytes.Lines(r.Raw) {
			if len(line) > 1000 || !bytes.HasSuffix(line, []byte("\r\n")) { // RFC 5321 section 4.5.3.1.6
				t.Errorf("report %s: line of %d octets, end %q", r.ID, len(line), line[max(0, len(line)-2):])
			}
		}
		if got.Lang != "" && got.Lang != r.Lang {
			t.Errorf("report %s: read as %s, written in %s", r.ID, got.Lang, r.Lang)
		}
		if got.Lang != "" {
			guessed++
		}
		kinds[got.Kind]++
		channels[r.Channel]++
		langs[r.Lang]++
	}
	t.Logf("kinds %v, channels %v, languages %v, language told of %d", kinds, channels, langs, guessed)
	for _, k := range []reading.Kind{reading.Attached, reading.Inline, reading.Plain, reading.FreeText, reading.SingleURL} {
		if kinds[k] < 8 {
			t.Errorf("only %d reports of kind %s", kinds[k], k)
		}
	}
	for _, l := range bolwerk.Langs() {
		if langs[l] < 10 {
			t.Errorf("only %d reports in %s", langs[l], l)
		}
	}
}

func TestReports_fixed(t *testing.T) {
	all := Reports(New(day))
	if len(all) != 200 {
		t.Fatalf("%d reports, want 200", len(all))
	}
	ids, content, seen := sha256.New(), sha256.New(), map[string]bool{}
	soon, of := 0, map[int]bool{}
	for i, r := range all {
		if seen[r.ID] || !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(r.ID) {
			t.Errorf("id %s: not unique or no UUIDv7", r.ID)
		}
		if i > 0 && (r.ID < all[i-1].ID || r.After < all[i-1].After) {
			t.Errorf("report %d comes before its predecessor", i)
		}
		if r.After < 0 || r.After > Spread {
			t.Errorf("report %s arrives after %s", r.ID, r.After)
		}
		if r.After < 5*time.Second {
			soon++
			of[r.want.campaign] = true
		}
		seen[r.ID] = true
		ids.Write([]byte(r.ID))
		for _, s := range []string{r.ID, r.After.String(), string(r.Channel), r.MailFrom, string(r.Raw), r.Text, r.URL, string(r.Lang)} {
			content.Write([]byte(s + "\x00"))
		}
	}
	if soon < 16 || len(of) < 12 {
		t.Errorf("%d reports of %d campaigns in the first five seconds, want 16 of 12", soon, len(of))
	}
	// Changed ids mean that a demo which goes on has everything twice.
	for what, c := range map[string][2]string{
		"ids":     {hex.EncodeToString(ids.Sum(nil))[:16], goldenIDs},
		"content": {hex.EncodeToString(content.Sum(nil))[:16], goldenContent},
	} {
		if c[0] != c[1] {
			t.Errorf("%s have the hash %s, want %s", what, c[0], c[1])
		}
	}
	later := Reports(New(day.Add(1000 * time.Hour)))
	for i := range all {
		if all[i].ID != later[i].ID || all[i].After != later[i].After || !slices.Equal(all[i].want.hosts, later[i].want.hosts) {
			t.Fatalf("report %d is another one on another day", i)
		}
	}
}

const (
	goldenIDs     = "6ede6104cfd5fb3e"
	goldenContent = "aca5c1d26f3eecd6"
)

func TestCampaigns_look_like_their_brand(t *testing.T) {
	w := New(day)
	psl := suffix.Builtin()
	brands, err := judge.NewBrands(psl, w.Brands...)
	if err != nil {
		t.Fatal(err)
	}
	platforms, err := judge.NewPlatforms(w.Platforms...)
	if err != nil {
		t.Fatal(err)
	}
	kinds, keys, reports := map[string]bool{}, map[string]int{}, 0
	for i, c := range campaigns() {
		reports += c.reports
		key := ""
		for _, h := range c.hosts {
			p := judge.PlaceOf(name(h), psl, platforms)
			look := brands.Look(p)
			if len(look) != 1 || look[0].Brand != c.brand || look[0].Kind != c.kind {
				t.Errorf("%s looks like %+v, want %s by %s", h, look, c.brand, c.kind)
				continue
			}
			kinds[c.kind] = true
			k := judge.CampaignKey(p, c.brand, brands)
			if key == "" {
				key = k
			}
			if k == "" || k != key {
				t.Errorf("%s is of campaign %q, want %q as its siblings", h, k, key)
			}
		}
		if other, ok := keys[key]; ok {
			t.Errorf("campaigns %d and %d have the same key %q", i, other, key)
		}
		keys[key] = i
	}
	if len(keys) != 12 || len(kinds) != 6 || reports != 179 {
		t.Errorf("%d campaigns, ways %v, %d reports; want 12, all six, 179", len(keys), kinds, reports)
	}
	for _, b := range w.Brands {
		if look := brands.Look(judge.PlaceOf(b.Domains[0], psl, platforms)); len(look) > 0 {
			t.Errorf("%s looks like %+v", b.Domains[0], look)
		}
	}
	for _, s := range append(sites(), partner, shop) {
		if look := brands.Look(judge.PlaceOf(name(s), psl, platforms)); len(look) > 0 {
			t.Errorf("the honest site %s looks like %+v", s, look)
		}
	}
}

// TestVerdicts shows that the demo has something for every word of the judge.
func TestVerdicts(t *testing.T) {
	w := New(day)
	psl := suffix.Builtin()
	brands, _ := judge.NewBrands(psl, w.Brands...)
	platforms, _ := judge.NewPlatforms(w.Platforms...)
	var feeds []judge.Feed
	var popular lists.Popularity
	for _, l := range w.Lists {
		set, err := lists.Load(strings.NewReader(l.Text), l.Source, nil, psl)
		if err != nil {
			t.Fatal(err)
		}
		switch l.Kind {
		case lists.Feed, lists.Allow:
			feeds = append(feeds, judge.Feed{Name: l.Name, Set: set, Tier: l.Tier, Allow: l.Kind == lists.Allow})
		case lists.Popular:
			popular = append(popular, set)
		}
	}
	evidence := map[string][]judge.Evidence{}
	scope := map[string]string{}
	brand := map[string]string{}
	for _, r := range Reports(w) {
		got := read(t, r)
		for _, u := range got.Wanted() {
			if u.Name.IsZero() || got.Drill != "" {
				continue
			}
			p := judge.PlaceOf(u.Name, psl, platforms)
			m := judge.Message{}
			if in := got.Inner; in != nil {
				_, from, _ := strings.Cut(in.From, "@")
				m.From, _ = bolwerk.ParseDomain(from)
				m.Name = in.Name
				for _, a := range in.Auth {
					_, dmarc, _ := strings.Cut(a.Raw, "dmarc=")
					dmarc, _, _ = strings.Cut(dmarc, " ")
					m.Auth = append(m.Auth, judge.Auth{ServID: a.ID, DMARC: dmarc})
				}
				m.Links = []judge.Link{{Text: u.Text, Target: u.Name}}
			}
			e := slices.Concat(judge.NameEvidence(p, brands), judge.ListEvidence(p, u.URL, feeds), judge.MessageEvidence(m, p, brands, w.AuthservIDs, psl))
			evidence[u.Host] = append(evidence[u.Host], e...)
			d := judge.DecideScope(judge.Target{Place: p}, popular)
			scope[u.Host] = string(d.Scope) + " " + d.Reasons[0].Code
			if r.want.campaign >= 0 {
				brand[u.Host] = campaigns()[r.want.campaign].brand
			}
		}
	}
	words := map[judge.Word]int{}
	for host, e := range evidence {
		v := judge.Judge(e)
		words[v.Word]++
		t.Logf("%-50s %-13s %-20s %s", host, v.Word, v.Brand, scope[host])
		if want, ok := brand[host]; ok && (v.Brand != want || v.Word != judge.Suspicious && v.Word != judge.Malicious) {
			t.Errorf("%s is %s and imitates %q, want %q", host, v.Word, v.Brand, want)
		}
	}
	for host, want := range map[string]judge.Word{"merelbank-verificatie12.example": judge.Malicious, "www.merelbank.example": judge.Clean, partner: judge.Clean,
		"boekenhoek.example": judge.Inconclusive, shop: judge.Suspicious} {
		if got := judge.Judge(evidence[host]).Word; got != want {
			t.Errorf("%s is %s, want %s", host, got, want)
		}
	}
	for host, want := range map[string]string{shop: "host popular", "kort.example": "url_only platform", "pakketnest.webhoek.example": "subtree tenant", "merelbank-verificatie12.example": "host host"} {
		if scope[host] != want {
			t.Errorf("%s: scope %s, want %s", host, scope[host], want)
		}
	}
	if words[judge.Malicious] < 4 || words[judge.Suspicious] < 8 {
		t.Errorf("words %v", words)
	}
}

func TestPhish(t *testing.T) {
	w := New(day)
	raw := w.Phish()
	for what, got := range map[string]reading.Result{"as evidence": reading.Mail(raw, reading.Option{Evidence: true}), "as a mail": reading.Mail(raw, reading.Option{})} {
		if h := hosts(got); len(h) != 1 || h[0] != PhishName || len(got.Warnings) > 0 {
			t.Errorf("%s: %v, warnings %q", what, h, got.Warnings)
		}
	}
	you := mail.MustAddress("you@thuisnet.example")
	forward, err := mail.Forward(you, w.ReportTo, "Fwd", "Is this real?", raw, day)
	if err != nil {
		t.Fatal(err)
	}
	if got := reading.Mail(forward, reading.Option{}); got.Kind != reading.Attached || !slices.Equal(hosts(got), []string{PhishName}) {
		t.Errorf("forwarded: %s %v", got.Kind, hosts(got))
	}
	// swaks encodes an attached mail in base64, which RFC 2046 does not allow.
	swaks := mailing{id: "1", from: "you@thuisnet.example", to: w.ReportTo.String(), subject: "Fwd", date: day, text: "Is this real?"}.
		around(part(`message/rfc822; name="phish.eml"`, `attachment; filename="phish.eml"`, "base64", string(raw)))
	if got := reading.Mail(swaks, reading.Option{}); got.Kind != reading.Attached || !slices.Equal(hosts(got), []string{PhishName}) {
		t.Errorf("by swaks: %s %v", got.Kind, hosts(got))
	}
	for _, r := range Reports(w) {
		if slices.Contains(r.want.hosts, PhishName) {
			t.Errorf("report %s is about the tutorial's name", r.ID)
		}
	}
	for _, l := range w.Lists {
		if strings.Contains(l.Text, PhishName) {
			t.Errorf("list %s has the tutorial's name", l.Name)
		}
	}
}

func TestLists_load(t *testing.T) {
	w := New(day)
	for _, l := range w.Lists {
		if err := l.Validate(); err != nil {
			t.Error(err)
		}
		set, err := lists.Load(strings.NewReader(l.Text), l.Source, nil, suffix.Builtin())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d names", l.Name, set.Len())
		if set.Count.Bad > 0 || set.Len() < 3 {
			t.Errorf("%s: %+v", l.Name, set.Count)
		}
		switch l.Kind {
		case lists.Popular:
			if _, ok := set.Rank(name("fietsenhoek.example")); !ok || set.Len() < 400 {
				t.Errorf("the broken-in shop is not among %d popular sites", set.Len())
			}
		case lists.KnownGood:
			if !set.Has(name("www.boekenmarkt.example")) {
				t.Error("the authority's mistake is not in the known-good set: no order would be refused")
			}
		case lists.Feed:
			for _, c := range campaigns() {
				for i, h := range c.hosts {
					if set.Has(name(h)) != (i < c.listed) {
						t.Errorf("feed has %s: %v, want %v", h, set.Has(name(h)), i < c.listed)
					}
				}
			}
		}
	}
	if !strings.Contains(w.Authority.Text, w.Authority.MustHave.String()) || strings.Count(w.Authority.Text, "\n") != 14 {
		t.Errorf("orders:\n%s", w.Authority.Text)
	}
}

func TestWriteFiles(t *testing.T) {
	dir, w := t.TempDir(), New(day)
	if err := w.WriteFiles(dir); err != nil {
		t.Fatal(err)
	}
	orders := w.Authority.OrderFile(dir)
	if err := os.WriteFile(orders, []byte("edited"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteFiles(dir); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(orders); string(b) != "edited" {
		t.Error("the newcomer's orders were overwritten")
	}
	if b, _ := os.ReadFile(filepath.Join(dir, PhishFile)); !bytes.Equal(b, w.Phish()) {
		t.Error("phish.eml is not Phish")
	}
}

// TestInvented holds that nothing of the demo names anything that exists.
func TestInvented(t *testing.T) {
	w := New(day)
	var all strings.Builder
	for _, r := range Reports(w) {
		all.WriteString(r.Text + "\n" + r.URL + "\n" + r.MailFrom + "\n")
		all.Write(r.Raw)
		all.WriteString("\n")
		got := read(t, r)
		for _, u := range got.URLs {
			all.WriteString(u.URL + "\n" + u.Text + "\n")
		}
		all.WriteString(got.Excerpt + "\n")
	}
	all.Write(w.Phish())
	for _, l := range w.Lists {
		all.WriteString(l.Text)
	}
	all.WriteString(w.Authority.Text + WhatToTry(addresses127()))
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range sources {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	s := strings.NewReplacer("[.]", ".", "=\r\n", "", "github.com/miekg", "", "=3D", "=", "=D0=B0", "а").Replace(all.String())
	for _, u := range regexp.MustCompile(`(?i)\b(?:https?|hxxps?)://([^/\s"'<>:?\\]+)`).FindAllStringSubmatch(s, -1) {
		if a, err := netip.ParseAddr(u[1]); err == nil {
			invented(t, a)
		} else if h := strings.TrimRight(u[1], ".,"); !strings.HasSuffix(h, ".example") && h != "localhost" && h != "" && h != "%s" {
			t.Errorf("link to %s", h)
		}
	}
	for _, u := range regexp.MustCompile(`[\w.+-]+@([\w-]+(?:\.[\w-]+)+)`).FindAllStringSubmatch(s, -1) {
		if !strings.HasSuffix(strings.TrimRight(u[1], "."), ".example") {
			t.Errorf("mail address %s", u[0])
		}
	}
	for _, u := range regexp.MustCompile(`\b\d{1,3}(?:\.\d{1,3}){3}\b`).FindAllString(s, -1) {
		if a, err := netip.ParseAddr(u); err == nil {
			invented(t, a)
		}
	}
	for _, tld := range regexp.MustCompile(`\b[a-z0-9-]{2,}\.(?:com|net|org|nl|be|fr|de|eu|io|co|info)\b`).FindAllString(s, -1) {
		if !strings.HasPrefix(tld, "merelbank.com") && !strings.HasSuffix(tld, "merelbank.com") {
			t.Errorf("%s may exist", tld)
		}
	}
	for _, set := range [][]string{sites(), {shop, partner, ordered}} {
		for _, n := range set {
			if !strings.HasSuffix(n, ".example") {
				t.Errorf("name %s", n)
			}
		}
	}
}

func invented(t *testing.T, a netip.Addr) {
	t.Helper()
	for _, p := range []string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "127.0.0.0/8", "2001:db8::/32", "::1/128"} {
		if netip.MustParsePrefix(p).Contains(a) {
			return
		}
	}
	t.Errorf("address %s may be somebody's", a)
}

func TestTaken(t *testing.T) {
	token := bolwerk.NewToken()
	for _, r := range Reports(New(day)) {
		got, err := door.DecodeReport(r.Taken(day, token).Encode())
		if err != nil || !got.OwnNetwork || got.Token != token.Reveal() || len(got.Body) == 0 || (got.Form == door.Mail) != (r.Channel == door.ByMail) {
			t.Fatalf("report %s: %+v, %v", r.ID, got, err)
		}
	}
}
