package judge

import (
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/shield/lists"
)

func TestDecideScope(t *testing.T) {
	popular := lists.Popularity{list(t, lists.Popular, 10_000, "popular.example", "big.github.io", "www.hidden.example")}
	fresh := Target{Age: 24 * time.Hour, AgeKnown: true, OwnerMalicious: true}
	for _, c := range []struct {
		name, host string
		t          Target
		scope      bolwerk.Scope
		on, code   string
		hours      int
	}{
		{"an address", "", Target{Address: true}, bolwerk.ScopeURLOnly, "", "address", 0},
		{"a shortener", "short.example", fresh, bolwerk.ScopeURLOnly, "short.example", "platform", 0},
		{"below a wrapper", "eur.filter.example", fresh, bolwerk.ScopeURLOnly, "eur.filter.example", "platform", 0},
		{"a platform's apex", "pages.example", fresh, bolwerk.ScopeURLOnly, "pages.example", "platform", 0},
		{"a private suffix", "github.io", fresh, bolwerk.ScopeURLOnly, "github.io", "platform", 0},
		{"a tenant", "a.evil.github.io", Target{}, bolwerk.ScopeSubtree, "evil.github.io", "tenant", 14 * 24},
		{"a tenant of our list", "evil.pages.example", Target{}, bolwerk.ScopeSubtree, "evil.pages.example", "tenant", 14 * 24},
		{"a popular tenant", "x.big.github.io", fresh, bolwerk.ScopeHost, "x.big.github.io", "popular", 14 * 24},
		{"broken into", "shop.example", Target{Compromised: true, Age: fresh.Age, AgeKnown: true, OwnerMalicious: true}, bolwerk.ScopeHost, "shop.example", "compromised", 24},
		{"old", "old.example", Target{Age: 366 * 24 * time.Hour, AgeKnown: true, OwnerMalicious: true}, bolwerk.ScopeHost, "old.example", "old", 24},
		{"popular", "x.popular.example", fresh, bolwerk.ScopeHost, "x.popular.example", "popular", 14 * 24},
		{"a popular name below it", "evil.hidden.example", fresh, bolwerk.ScopeHost, "evil.hidden.example", "popular", 14 * 24},
		{"fresh and bad itself", "login.evil.example", fresh, bolwerk.ScopeRegistrable, "evil.example", "fresh", 14 * 24},
		{"fresh with two bad hosts", "login.evil.co.uk", Target{Age: time.Hour, AgeKnown: true, MaliciousHosts: 2}, bolwerk.ScopeRegistrable, "evil.co.uk", "fresh", 14 * 24},
		{"fresh with one bad host", "login.evil.example", Target{Age: time.Hour, AgeKnown: true, MaliciousHosts: 1}, bolwerk.ScopeHost, "login.evil.example", "host", 14 * 24},
		{"age unknown", "login.evil.example", Target{OwnerMalicious: true, MaliciousHosts: 9}, bolwerk.ScopeHost, "login.evil.example", "host", 14 * 24},
		{"middle-aged", "login.evil.example", Target{Age: 90 * 24 * time.Hour, AgeKnown: true, OwnerMalicious: true}, bolwerk.ScopeHost, "login.evil.example", "host", 14 * 24},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.host != "" {
				c.t.Place = place(t, c.host)
			}
			got := DecideScope(c.t, popular)
			if got.Scope != c.scope || got.Name.String() != c.on || got.Reasons[0].Code != c.code || got.For != time.Duration(c.hours)*time.Hour || got.Refused {
				t.Errorf("got %+v, want %s on %q because %s for %d h", got, c.scope, c.on, c.code, c.hours)
			}
		})
	}
	for _, s := range []string{"co.uk", "com", "example"} {
		if got := DecideScope(Target{Place: place(t, s)}, nil); !got.Refused || got.Scope.DNS() {
			t.Errorf("%s: got %+v, want it refused", s, got)
		}
	}
}

func TestNamesTaken(t *testing.T) {
	long := strings.Repeat("a", 60) + "." + strings.Repeat("b", 60) + "." + strings.Repeat("c", 60) + "." + strings.Repeat("d", 60)
	for _, c := range []struct {
		name  string
		scope bolwerk.Scope
		want  string
	}{
		{"evil.example", bolwerk.ScopeHost, "evil.example www.evil.example"},
		{"login.evil.example", bolwerk.ScopeHost, "login.evil.example"},
		{"www.evil.example", bolwerk.ScopeHost, "www.evil.example"},
		{"evil.example", bolwerk.ScopeRegistrable, "evil.example"},
		{"evil.github.io", bolwerk.ScopeSubtree, "evil.github.io"},
		{"evil.example", bolwerk.ScopeURLOnly, ""},
		{long + ".example", bolwerk.ScopeHost, long + ".example"},
	} {
		names, www := NamesTaken(place(t, c.name), c.scope)
		var got []string
		for _, n := range names {
			got = append(got, n.String())
		}
		if s := strings.Join(got, " "); s != c.want || www != (len(names) == 2) {
			t.Errorf("NamesTaken(%s, %s) = %q, %v; want %q", c.name, c.scope, s, www, c.want)
		}
	}
}

func TestNeverBlock(t *testing.T) {
	n := NewNeverBlock(NeverRow{Name: d("operator.example"), Below: true}, NeverRow{Name: d("apex.example")}, NeverRow{Name: d("a.b.inner.example")},
		NeverRow{Name: d("kbc.be")}, NeverRow{})
	if n.Len() < 300 {
		t.Errorf("%d rows", n.Len())
	}
	for _, c := range []struct {
		name  string
		scope bolwerk.Scope
		want  bool
	}{
		{"www.operator.example", bolwerk.ScopeHost, true},
		{"apex.example", bolwerk.ScopeHost, true},
		{"x.apex.example", bolwerk.ScopeHost, false},
		{"x.apex.example", bolwerk.ScopeSubtree, false},
		{"inner.example", bolwerk.ScopeHost, false},
		{"inner.example", bolwerk.ScopeRegistrable, true}, // it stands above a row
		{"b.inner.example", bolwerk.ScopeSubtree, true},
		{"notapex.example", bolwerk.ScopeRegistrable, false},
		{"mijn.kbc.be", bolwerk.ScopeHost, true}, // a row cannot take from the core
		{"kbc-login.be", bolwerk.ScopeRegistrable, false},
		{"be", bolwerk.ScopeSubtree, true},
		{"operator.example", bolwerk.ScopeURLOnly, false},
	} {
		if row, got := n.Taken(place(t, c.name), c.scope); got != c.want {
			t.Errorf("Taken(%s, %s) = %v by %+v, want %v", c.name, c.scope, got, row, c.want)
		}
	}
	for row := range n.All {
		if row.Why == "" {
			t.Errorf("%s has no reason", row.Name)
		}
		if psl.Is(row.Name) && row.Name != d("arpa") && place(t, row.Name.String()).Platform.Kind != TenantPath {
			t.Errorf("%s is a public suffix: with all below it would protect strangers", row.Name)
		}
	}
}

func TestCampaignKey(t *testing.T) {
	b := brands(t)
	key := func(name string) string { return CampaignKey(place(t, name), "Example Bank", b) }
	for _, c := range [][]string{
		{"exbank-betaal12.example", "exbank-betaal7.example", "www.exbank-betaal99.example"},
		{"exbank-login.pages.example", "x.exbank-login.pages.example"},
		{"examp1ebank-login.example", "examplebank-login.example", "exarnplebank-login.example"},
		{"exbank.login1.evil.example", "exbank.login2.other.example"},
		{"exbank.nl", "sub.exbank.nl"},
	} {
		for _, other := range c[1:] {
			if a, b := key(c[0]), key(other); a != b || a == "" {
				t.Errorf("%s has %q and %s has %q: want the same", c[0], a, other, b)
			}
		}
	}
	if key("exbank-betaal1.example") == key("exbank-betaal1.nl") || key("exbank-betaal1.example") == key("exbank-pay1.example") {
		t.Error("another affix or suffix is another shape")
	}
	if key("evil.example") != "" || key("exbank.be") != "" || CampaignKey(place(t, "exbank-x.example"), "KPX", b) != "" {
		t.Error("without the brand in the name there is no key")
	}
}
