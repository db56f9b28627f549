package judge

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/idn"
	"bolwerk/shield/lists"
)

// data opens the folder of real test data.
func data(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("BOLWERK_DATA")
	if dir == "" {
		t.Skip("BOLWERK_DATA is not set: no real names")
	}
	return dir
}

func eachName(t testing.TB, path string, f func(bolwerk.Domain)) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Skip(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	for lines.Scan() {
		if dom, err := idn.Parse(strings.TrimPrefix(lines.Text(), ".")); err == nil {
			f(dom)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

func realPopular(t testing.TB, dir string) lists.Popularity {
	t.Helper()
	var p lists.Popularity
	for file, top := range map[string]int{"tranco10k.txt.gz": 10_000, "cloudflare-top100k_half_a.txt.gz": 100_000} {
		f, err := os.Open(filepath.Join(dir, "lists", file))
		if err != nil {
			t.Skip(err)
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		s, err := lists.Load(z, lists.Source{Name: file, Kind: lists.Popular, Format: lists.Plain, Top: top}, nil, psl)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		p = append(p, s)
	}
	return p
}

// worst is the target for which the rules take the most: everything that could
// widen is given.
func worst(p Place) Target {
	return Target{Place: p, Age: time.Hour, AgeKnown: true, OwnerMalicious: true, MaliciousHosts: 9}
}

// TestPhishHosts says what the scope rules make of 193,743 hosts of phishing
// pages, and that no block that they propose takes a popular name but the host's
// own.
func TestPhishHosts(t *testing.T) {
	dir := data(t)
	pf, err := NewPlatforms()
	if err != nil {
		t.Fatal(err)
	}
	popular := realPopular(t, dir)
	never := NewNeverBlock()
	c := Context{Now: now, Limits: DefaultLimits(), Suffixes: psl, Platforms: pf, Never: never, Popular: popular, First: person("anna", Analyst)}
	for _, run := range []struct {
		name   string
		target func(Place) Target
	}{
		{"age unknown", func(p Place) Target { return Target{Place: p} }},
		{"fresh and malicious", worst},
	} {
		n, took := 0, time.Duration(0)
		scopes, guards, codes := map[string]int{}, map[string]int{}, map[string]int{}
		refused := map[string]int{}
		eachName(t, filepath.Join(dir, "urls", "phish_hosts.txt.gz"), func(dom bolwerk.Domain) {
			start := time.Now()
			p := PlaceOf(dom, psl, pf)
			s := DecideScope(run.target(p), popular)
			took += time.Since(start)
			n++
			if s.Refused {
				scopes["refused"]++
				return
			}
			scopes[string(s.Scope)]++
			codes[s.Reasons[0].Code]++
			if !s.Scope.DNS() {
				return
			}
			if !dom.Below(s.Name) {
				t.Fatalf("%s: proposed %s", dom, s.Name)
			}
			if s.Scope != bolwerk.ScopeHost {
				if hit, rank, ok := popular.Best(s.Name, s.Scope, false); ok {
					t.Errorf("%s: %s on %s takes %s, one of the top %d", dom, s.Scope, s.Name, hit, rank)
				}
			}
			prop, _ := Propose(Verdict{Word: Malicious}, s, "phishing", false, now)
			for _, o := range Check(prop, c) {
				guards[o.Rule]++
				if o.Rule == "never_block" {
					row, _ := never.Taken(PlaceOf(s.Name, psl, pf), s.Scope)
					refused[row.Name.String()]++
				}
				if o.Effect == Refuse && o.Rule != "never_block" {
					t.Errorf("the rules propose what guard %s refuses: %s %s: %s", o.Rule, s.Scope, s.Name, o.Sentence)
				}
			}
		})
		t.Logf("%s: %d hosts, %.1f us each; scopes %v; why %v; one analyst alone meets %v", run.name, n, float64(took.Microseconds())/float64(n), scopes, codes, guards)
		t.Logf("never-block rows that hold: %s", most(refused, 12))
		if refusals := guards["never_block"]; refusals*1000 > n {
			t.Errorf("the never-block list holds back %d of %d: it protects phishers", refusals, n)
		}
	}
}

// TestPopularNames holds the promise that no popular name is proposed wider than
// its host, whatever is said against it, and no host of a good name either.
func TestPopularNames(t *testing.T) {
	dir := data(t)
	pf, _ := NewPlatforms()
	popular := realPopular(t, dir)
	for _, file := range []string{"tranco10k.txt.gz", "cloudflare-top100k_half_a.txt.gz"} {
		n, wider, without, wideWithout := 0, 0, 0, []string{}
		scopes := map[string]int{}
		eachName(t, filepath.Join(dir, "lists", file), func(dom bolwerk.Domain) {
			n++
			p := PlaceOf(dom, psl, pf)
			s := DecideScope(worst(p), popular)
			if s.Refused {
				scopes["refused"]++
			} else {
				scopes[string(s.Scope)]++
			}
			if !s.Refused && s.Scope.DNS() && (s.Scope != bolwerk.ScopeHost || s.Name != dom) {
				wider++
				t.Errorf("%s: proposed %s on %s", dom, s.Scope, s.Name)
			}
			// The same without any popularity list, which an operator may forget.
			if s := DecideScope(Target{Place: p}, nil); !s.Refused && s.Scope.DNS() && s.Scope != bolwerk.ScopeHost {
				without++
				wideWithout = append(wideWithout, dom.String())
			}
		})
		t.Logf("%s: %d names, %v, %d wider than their host; without a popularity list and of unknown age: %d (tenants) %v",
			file, n, scopes, wider, without, wideWithout[:min(20, len(wideWithout))])
	}
}

// TestHoldOut asks about popular names that the loaded list does not have: half
// of the top list stands for what an operator's list misses.
func TestHoldOut(t *testing.T) {
	dir := data(t)
	pf, _ := NewPlatforms()
	popular := realPopular(t, dir)
	tranco := popular[slices.IndexFunc(popular, func(s *lists.Set) bool { return strings.HasPrefix(s.Name(), "tranco") })]
	n, unknown, proposed := 0, 0, map[string]int{}
	eachName(t, filepath.Join(dir, "lists", "cloudflare-top100k_half_a.txt.gz"), func(dom bolwerk.Domain) {
		if _, ok := tranco.Rank(dom); ok {
			return
		}
		n++
		s := DecideScope(Target{Place: PlaceOf(dom, psl, pf)}, lists.Popularity{tranco})
		if !s.Refused && s.Scope.DNS() && s.Scope != bolwerk.ScopeHost {
			unknown++
			proposed[string(s.Scope)]++
		}
	})
	t.Logf("%d popular names that the top 10k lacks, age unknown: %d wider than the host %v", n, unknown, proposed)
	if proposed[string(bolwerk.ScopeRegistrable)] > 0 {
		t.Error("an unknown age never widens to the registrable domain")
	}
}

var mailHost = regexp.MustCompile(`(?i)https?://([a-z0-9._-]+\.[a-z]{2,})`)

// TestHamNames: the names that honest mail links to. Their verdict proposes
// nothing, and even if somebody called them malicious nothing wider than the host
// is proposed, but for tenants of platforms.
func TestHamNames(t *testing.T) {
	dir := data(t)
	pf, _ := NewPlatforms()
	popular := realPopular(t, dir)
	b := wellKnown(t)
	files, _ := filepath.Glob(filepath.Join(dir, "mail", "ham", "*"))
	if len(files) == 0 {
		t.Skip("no honest mail in the data folder")
	}
	names := map[bolwerk.Domain]bool{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte("=\n"), nil)
		for _, m := range mailHost.FindAllSubmatch(text, -1) {
			if dom, err := bolwerk.ParseDomain(string(m[1])); err == nil {
				names[dom] = true
			}
		}
	}
	tenants := map[string]int{}
	alike, wider, scopes := []string{}, 0, map[bolwerk.Scope]int{}
	for dom := range names {
		p := PlaceOf(dom, psl, pf)
		v := Judge(NameEvidence(p, b))
		s := DecideScope(Target{Place: p, OwnerMalicious: true, MaliciousHosts: 9}, popular)
		scopes[s.Scope]++
		if s.Scope == bolwerk.ScopeSubtree {
			tenants[p.Platform.Name.String()]++
		}
		if v.Word == Suspicious || v.Word == Malicious {
			alike = append(alike, dom.String()+" "+v.Reasons[0].Code)
		}
		if _, ok := Propose(v, s, "phishing", false, now); ok && s.Scope != bolwerk.ScopeHost {
			wider++
			t.Errorf("%s: proposed %s on %s", dom, s.Scope, s.Name)
		}
	}
	t.Logf("%d names of %d mails: %d look like a brand %v, %d proposed wider than their host; if somebody called them malicious %v; tenants of %s", len(names), len(files), len(alike), alike, wider, scopes, most(tenants, 10))
}

// wellKnown are brands that the phishing feed of 2024 to 2026 imitates, and those
// of the two countries that this program is made for.
func wellKnown(t testing.TB) *Brands {
	t.Helper()
	var list []Brand
	for _, line := range strings.Split(strings.TrimSpace(`
PayPal paypal: paypal.com
Netflix netflix: netflix.com
Microsoft microsoft office365 outlook: microsoft.com microsoftonline.com office.com office365.com outlook.com live.com
Apple apple icloud: apple.com icloud.com
Amazon amazon: amazon.com amazon.de amazon.nl amazon.com.be amazonaws.com amazon.co.uk amazon.fr amazon.in amazon.co.jp amazon.it amazon.es amazon.ca amazontrust.com amazon-adsystem.com
Facebook facebook: facebook.com facebook.net fb.com
Instagram instagram: instagram.com cdninstagram.com
WhatsApp whatsapp: whatsapp.com whatsapp.net
Coinbase coinbase: coinbase.com
MetaMask metamask: metamask.io
Binance binance: binance.com
Roblox roblox: roblox.com rbxcdn.com
Steam steam: steampowered.com steamcommunity.com steamstatic.com steamcontent.com steamserver.net
DHL dhl: dhl.com dhl.de
Telegram telegram: telegram.org telegram.me
AT&T att: att.com att.net
USPS usps: usps.com
ING ing: ing.com ing.be ing.nl
KPN kpn: kpn.com kpn.net kpnmail.nl
Proximus proximus: proximus.be
Telenet telenet: telenet.be
bpost bpost: bpost.be bpost.com
PostNL postnl: postnl.nl postnl.be
Belfius belfius: belfius.be
KBC kbc: kbc.be kbc.com
Rabobank rabobank: rabobank.nl rabobank.com
itsme itsme: itsme.be itsme-id.com
`), "\n") {
		left, right, _ := strings.Cut(line, ":")
		words := strings.Fields(left)
		br := Brand{Name: words[0], Tokens: words[1:]}
		for _, w := range strings.Fields(right) {
			br.Domains = append(br.Domains, d(w))
		}
		list = append(list, br)
	}
	b, err := NewBrands(psl, list...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestLookRates says how often phishing hosts and popular names look like one of
// 27 brands.
func TestLookRates(t *testing.T) {
	dir := data(t)
	pf, _ := NewPlatforms()
	b := wellKnown(t)
	for _, file := range []string{"urls/phish_hosts.txt.gz", "lists/tranco10k.txt.gz", "lists/cloudflare-top100k_half_a.txt.gz"} {
		n, hits := 0, 0
		kinds, byBrand := map[string]int{}, map[string]int{}
		examples := map[string][]string{}
		start := time.Now()
		eachName(t, filepath.Join(dir, file), func(dom bolwerk.Domain) {
			n++
			found := b.Look(PlaceOf(dom, psl, pf))
			if len(found) > 0 {
				hits++
			}
			for _, l := range found {
				kinds[l.Kind]++
				byBrand[l.Brand]++
				if len(examples[l.Kind]) < 6 {
					examples[l.Kind] = append(examples[l.Kind], dom.String())
				}
			}
		})
		t.Logf("%s: %d names, %d look like a brand (%.2f %%), %.1f us a name with reading; %v; %s",
			file, n, hits, 100*float64(hits)/float64(n), float64(time.Since(start).Microseconds())/float64(n), kinds, most(byBrand, 12))
		t.Logf("  such as %v", examples)
	}
}

// most are the largest counts of m.
func most(m map[string]int, n int) string {
	type row struct {
		k string
		v int
	}
	var rows []row
	for k, v := range m {
		rows = append(rows, row{k, v})
	}
	sort.Slice(rows, func(i, j int) bool { return rows[i].v > rows[j].v || rows[i].v == rows[j].v && rows[i].k < rows[j].k })
	var b strings.Builder
	for i, r := range rows {
		if i == n {
			break
		}
		b.WriteString(r.k + ":" + strconv.Itoa(r.v) + " ")
	}
	return strings.TrimSpace(b.String())
}

func BenchmarkName(b *testing.B) {
	pf, _ := NewPlatforms()
	br := wellKnown(b)
	dom := d("secure-login.paypaI-account-verify24.example")
	for b.Loop() {
		p := PlaceOf(dom, psl, pf)
		Judge(NameEvidence(p, br))
		DecideScope(Target{Place: p}, nil)
	}
}

func BenchmarkNameKnown(b *testing.B) {
	pf, _ := NewPlatforms()
	br, err := NewBrands(psl, KnownBrands()...)
	if err != nil {
		b.Fatal(err)
	}
	names := []bolwerk.Domain{d("secure-login.paypaI-account-verify24.example"), d("www.somebody-else.example"), d("my-shop-2024.pages.dev"), d("mail.evil.example")}
	for i := 0; b.Loop(); i++ {
		Judge(NameEvidence(PlaceOf(names[i%4], psl, pf), br))
	}
}
