package judge

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/suffix"
	"bolwerk/shield/lists"
)

var (
	psl = suffix.Builtin()
	d   = bolwerk.MustDomain
	now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

func platforms(t testing.TB) *Platforms {
	t.Helper()
	p, err := NewPlatforms(Platform{Name: d("pages.example"), Kind: TenantSubdomain}, Platform{Name: d("deep.example"), Kind: TenantSubdomain, MinLabels: 4},
		Platform{Name: d("short.example"), Kind: Shortener}, Platform{Name: d("docs.example"), Kind: TenantPath}, Platform{Name: d("filter.example"), Kind: Wrapper})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func brands(t testing.TB) *Brands {
	t.Helper()
	b, err := NewBrands(psl,
		Brand{Name: "Example Bank", Tokens: []string{"examplebank", "exbank"}, Domains: []bolwerk.Domain{d("examplebank.example"), d("exbank.be")}, Display: []string{"Example Bank"}},
		Brand{Name: "KPX", Domains: []bolwerk.Domain{d("kpx.example")}},
	)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func list(t testing.TB, kind lists.Kind, top int, names ...string) *lists.Set {
	t.Helper()
	s, err := lists.Load(strings.NewReader(strings.Join(names, "\n")), lists.Source{Name: "test", Kind: kind, Format: lists.Plain, Top: top}, nil, psl)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func place(t testing.TB, name string) Place { return PlaceOf(d(name), psl, platforms(t)) }

func TestPlaceOf(t *testing.T) {
	for _, c := range []struct {
		name, owner, tenant string
		shared              bool
		kind                PlatformKind
	}{
		{"www.evil.example", "evil.example", "", false, ""},
		{"evil.co.uk", "evil.co.uk", "", false, ""},
		{"x.evil.github.io", "evil.github.io", "evil.github.io", false, TenantSubdomain},
		{"github.io", "", "", true, TenantSubdomain},
		{"www.github.io", "www.github.io", "", true, TenantSubdomain},
		{"a.evil.pages.example", "evil.pages.example", "evil.pages.example", false, TenantSubdomain},
		{"pages.example", "pages.example", "", true, TenantSubdomain},
		{"login.pages.example", "pages.example", "", true, TenantSubdomain},
		{"x.deep.example", "deep.example", "", true, TenantSubdomain},
		{"b.evil.x.deep.example", "evil.x.deep.example", "evil.x.deep.example", false, TenantSubdomain},
		{"docs.example", "docs.example", "", true, TenantPath},
		{"x.docs.example", "docs.example", "", true, TenantPath},
		{"notdocs.example", "notdocs.example", "", false, ""},
		{"co.uk", "", "", false, ""},
		// The longer of the two lists decides.
		{"bucket.s3.amazonaws.com", "bucket.s3.amazonaws.com", "bucket.s3.amazonaws.com", false, TenantSubdomain},
		{"something.amazonaws.com", "amazonaws.com", "", true, CDN},
		{"raw.githubusercontent.com", "raw.githubusercontent.com", "", true, TenantPath},
		{"evil.glitch.me", "evil.glitch.me", "evil.glitch.me", false, TenantSubdomain},
		{"eur01.safelinks.protection.outlook.com", "outlook.com", "", true, Wrapper},
	} {
		p := place(t, c.name)
		if p.Owner().String() != c.owner || p.Tenant.String() != c.tenant || p.Shared != c.shared || p.Platform.Kind != c.kind {
			t.Errorf("%s: owner %q, tenant %q, shared %v, kind %q; want %q, %q, %v, %q",
				c.name, p.Owner(), p.Tenant, p.Shared, p.Platform.Kind, c.owner, c.tenant, c.shared, c.kind)
		}
	}
	for _, bad := range []Platform{{Name: d("x.example"), Kind: "disco"}, {Name: d("example"), Kind: CDN}, {Name: d("x.example"), Kind: TenantSubdomain, MinLabels: 2}} {
		if _, err := NewPlatforms(bad); !errors.Is(err, bolwerk.ErrInvalid) {
			t.Errorf("%+v: got %v", bad, err)
		}
	}
}

// TestPlatformList holds the compiled list to the names of which users complained
// that they were blocked as a whole.
func TestPlatformList(t *testing.T) {
	p := platforms(t)
	if p.Len() < 350 {
		t.Errorf("%d platforms", p.Len())
	}
	for _, name := range strings.Fields(`mjt.lu onelink.me list-manage.com sendgrid.net flowto.it weebly.com 000webhostapp.com godaddysites.com
		wpengine.com contaboserver.net glitch.me statichost.eu ct8.pl 5v.pl formaloo.com formaloo.net thirdwebstorage.com thirdwebcdn.com ipfscdn.io
		flk-ipfs.xyz webhostingserver.nl sites.google.com docs.google.com drive.google.com forms.gle core.windows.net bit.ly tinyurl.com t.co
		eur01.safelinks.protection.outlook.com urldefense.com urldefense.proofpoint.com`) {
		if got := DecideScope(Target{Place: PlaceOf(d(name), psl, p), Age: time.Hour, AgeKnown: true, OwnerMalicious: true}, nil); got.Scope != bolwerk.ScopeURLOnly {
			t.Errorf("%s: scope %s, want url_only", name, got.Scope)
		}
	}
}

func reasons(ev []Evidence) string {
	var out []string
	for _, e := range ev {
		out = append(out, e.Reason+"="+string(e.Verdict))
	}
	return strings.Join(out, " ")
}

func TestListEvidence(t *testing.T) {
	feed := list(t, lists.Feed, 0, "evil.example", "pages.example", "docs.example", "https://docs.example/bad", "https://other.example/bad", "x.bad.pages.example")
	allow := list(t, lists.Allow, 0, "good.example")
	feeds := []Feed{{Name: "feed", Set: feed, Tier: 2}, {Name: "allow", Set: allow, Tier: 1, Allow: true}, {Name: "away", Tier: 1}}
	for _, c := range []struct{ name, url, want string }{
		{"evil.example", "", "listed=malicious not_listed=no_data"},
		{"a.b.evil.example", "", "listed=malicious not_listed=no_data"},
		{"www.good.example", "", "not_listed=no_data listed=clean"},
		// A platform in a feed says nothing about its tenants, nor about itself.
		{"shop.pages.example", "", "listed_platform=no_data not_listed=no_data"},
		{"docs.example", "https://docs.example/mine", "listed_platform=no_data not_listed=no_data"},
		{"docs.example", "https://docs.example/bad", "listed_page=malicious not_listed=no_data"},
		{"other.example", "https://other.example/fine", "listed_page_on_host=suspicious not_listed=no_data"},
		{"y.x.bad.pages.example", "", "listed=malicious not_listed=no_data"},
		{"bad.pages.example", "", "listed_platform=no_data not_listed=no_data"},
	} {
		ev := ListEvidence(place(t, c.name), c.url, feeds)
		if got := reasons(ev); got != c.want+" not_loaded=failed" {
			t.Errorf("%s %s: %s, want %s", c.name, c.url, got, c.want)
		}
		if ev[0].ListVersion != feed.Version() {
			t.Error("the version of the list is missing")
		}
	}
}

// TestPopularName: of a name that many people use the words of a mail are context
// beside another name, and count where it is all that the mail leads to.
func TestPopularName(t *testing.T) {
	b, p := brands(t), place(t, "big.example")
	lure := ReadMessage(Message{From: d("shop.example"), Text: "Uw rekening is geblokkeerd", Links: []Link{{Target: p.Name}}}, b, nil, psl)
	own := ReadMessage(Message{From: d("big.example"), Subject: "Uw rekening is geblokkeerd, klik hier binnen 24 uur: u heeft gewonnen", Links: []Link{{Target: p.Name}}}, b, nil, psl)
	shows := ReadMessage(Message{Links: []Link{{Text: "small.example", Target: p.Name}, {Text: "exbank.be", Target: d("evil.example")}}}, b, nil, psl)
	for _, c := range []struct {
		name    string
		r       *Reading
		another bool
		want    string
	}{
		{"all that it leads to", lure, false, "leads_away=suspicious"},
		{"beside another", lure, true, ""},
		{"the sender's own", own, false, ""},
		{"shown as a site that nobody knows", shows, false, ""},
	} {
		strong := slices.DeleteFunc(c.r.Popular(p, c.another, b, psl), func(e Evidence) bool { return e.Tier == 3 })
		if got := reasons(strong); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// TestAddressEvidence: a link to a bare address is suspicious, one to an address that
// only a house has leads nowhere.
func TestAddressEvidence(t *testing.T) {
	for address, want := range map[string]Word{"192.0.2.7": Suspicious, "2001:db8::7": Suspicious, "::ffff:192.0.2.7": Suspicious,
		"10.0.0.1": NoData, "192.168.1.1": NoData, "127.0.0.1": NoData, "169.254.1.1": NoData, "fe80::1": NoData, "::ffff:10.0.0.1": NoData} {
		if e := AddressEvidence(netip.MustParseAddr(address)); len(e) != 1 || e[0].Verdict != want {
			t.Errorf("%s: %+v, want %s", address, e, want)
		}
	}
}

func TestMessageEvidence(t *testing.T) {
	b, p := brands(t), place(t, "evil.example")
	fail := []Auth{{"mx.operator.example", "fail"}}
	link := func(text string) []Link { return []Link{{Text: text, Target: d("evil.example")}} }
	many := func(n int) (l []Link) {
		for i := range n {
			l = append(l, Link{Text: "", Target: d("n" + string(rune('a'+i)) + ".example")})
		}
		return l
	}
	for _, c := range []struct {
		name string
		m    Message
		at   string
		want string
	}{
		{"forged brand", Message{From: d("mail.exbank.be"), Auth: fail, Links: link("")}, "", "forged_brand=malicious brand_sender=suspicious"},
		{"dmarc of somebody unknown", Message{From: d("exbank.be"), Auth: []Auth{{"mx.attacker.example", "fail"}}}, "", ""},
		{"the topmost of ours counts", Message{From: d("exbank.be"), Auth: []Auth{{"mx.operator.example", "pass"}, {"mx.operator.example", "fail"}}}, "", ""},
		{"a brand's sender who leads away", Message{From: d("exbank.be"), Links: link("")}, "", "brand_sender=suspicious"},
		{"the same, proved", Message{From: d("exbank.be"), Auth: []Auth{{"mx.operator.example", "pass"}}, Links: link("")}, "", ""},
		{"a brand's sender with a link of its own too", Message{From: d("exbank.be"), Links: append(link(""), Link{Text: "", Target: d("www.exbank.be")})}, "", ""},
		{"answers to a free address", Message{From: d("shop.example"), ReplyTo: d("gmail.com"), Subject: "Your account has been suspended"}, "", "reply_to=suspicious"},
		{"answers to a list", Message{From: d("exbank.be"), ReplyTo: d("lists.club.example"), List: true, Links: link("")}, "", "brand_sender=suspicious"},
		{"signed by somebody else", Message{From: d("shop.example"), Signed: []bolwerk.Domain{d("elsewhere.example")}, Links: link("")}, "", "signed_by_other=suspicious"},
		{"signed by a service that sends for others", Message{From: d("shop.example"), Signed: []bolwerk.Domain{d("amazonses.com")}, Links: link("")}, "", ""},
		{"signed by its own and by a stranger", Message{From: d("shop.example"), Signed: []bolwerk.Domain{d("elsewhere.example"), d("mail.shop.example")}, Links: link("")}, "", ""},
		{"signed by somebody else, and leading home", Message{From: d("evil.example"), Signed: []bolwerk.Domain{d("elsewhere.example")}, Links: link("")}, "", ""},
		{"unsigned, failures elsewhere, alone", Message{From: d("shop.example"), Return: d("elsewhere.example"), Links: link("")}, "", ""},
		{"unsigned, failures elsewhere, with words", Message{From: d("shop.example"), Return: d("elsewhere.example"), Text: "klik hier", Links: link("")}, "", "returns_elsewhere=suspicious"},
		{"the same through a list", Message{From: d("shop.example"), Return: d("elsewhere.example"), Text: "klik hier", List: true, Links: link("")}, "", ""},
		{"no Message-ID, alone", Message{From: d("shop.example"), Head: true, Links: link("")}, "", ""},
		{"no Message-ID, with words", Message{From: d("shop.example"), Head: true, Text: "klik hier", Links: link("")}, "", "no_message_id=suspicious"},
		{"no Message-ID in what a program copied", Message{From: d("shop.example"), Links: link("")}, "", ""},
		{"one that the border put in", Message{From: d("shop.example"), Head: true, ID: "DB5EUR02FT020.eop-EUR02.prod.protection.outlook.com", Links: link("")}, "", "no_message_id=suspicious"},
		{"a Message-ID of no machine, alone", Message{From: d("shop.example"), Head: true, ID: "localhost.localdomain", Links: link("")}, "", ""},
		{"two small things together", Message{From: d("shop.example"), Head: true, ID: "localhost", Script: true, Links: link("")}, "", "odd_message_id=suspicious script=suspicious"},
		{"its addresses shown", Message{From: d("shop.example"), Recipients: 12, Links: link("")}, "", "many_recipients=suspicious"},
		{"an answer to many", Message{From: d("shop.example"), Recipients: 12, Answer: true, Links: link("")}, "", ""},
		{"an offer as a name", Message{From: d("shop.example"), Name: "Free and without conditions!", Links: link("")}, "", "loud_sender=suspicious"},
		{"a name with a mark of its own", Message{From: d("shop.example"), Name: "Yahoo!", Links: link("")}, "", ""},
		{"an address by a program, with words", Message{From: d("shop.example"), Local: "info974555", Text: "klik hier", Links: link("")}, "", "odd_local=suspicious"},
		{"a number at a free address", Message{From: d("gmail.com"), Local: "jan19745", Text: "klik hier", Links: link("")}, "", ""},
		{"a brand before the @", Message{From: d("shop.example"), Local: "examplebank", Links: link("")}, "", "brand_local=suspicious"},
		{"a link with another name in front", Message{From: d("evil.example"), Links: []Link{{Target: d("evil.example"), Notes: []string{"userinfo"}}}}, "", "disguised_link=suspicious"},
		{"a link with a slip", Message{From: d("evil.example"), Links: []Link{{Target: d("evil.example"), Notes: []string{"backslash"}}}}, "", ""},
		{"a file that says it", Message{From: d("gmail.com"), Text: "See this.", FilesOnly: true, Links: link("")}, "", "file_only=suspicious"},
		{"a file beside a letter", Message{From: d("gmail.com"), Text: strings.Repeat("Here is the house that we spoke of. ", 12), FilesOnly: true, Links: link("")}, "", ""},
		{"a page for everybody from a free address", Message{From: d("gmail.com"), Text: "Your mailbox is almost full", Links: []Link{{Target: d("docs.example")}}}, "docs.example", "free_form=suspicious"},
		{"to an odd name", Message{From: d("shop.example"), Links: []Link{{Target: d("xk7q2m9w4.example")}}}, "xk7q2m9w4.example", "leads_odd=suspicious"},
		{"what a service sends for a stranger", Message{From: d("typeform.com"), Text: "Your account has been suspended", Links: append(link(""), Link{Target: d("admin.typeform.com")})}, "", "leads_away=suspicious"},
		{"joined by what nobody sees", Message{From: d("evil.example"), Name: "S\u200dh\u200do\u200dp", Links: link("")}, "", "hidden_text=suspicious"},
		{"answers to the same company", Message{From: d("mail.shop.example"), ReplyTo: d("shop.example"), Subject: "Your account has been suspended"}, "", ""},
		{"pressure", Message{Subject: "Uw rekening is geblokkeerd", Text: "Klik hier om binnen 24 uur uw gegevens te bevestigen."}, "", "pressure=suspicious"},
		{"pressure, French", Message{Subject: "Votre compte a été bloqué", Text: "Vérifiez votre identité sous 24 heures."}, "", "pressure=suspicious"},
		{"pressure, German", Message{Subject: "Ihr Konto wurde gesperrt", Text: "Bestätigen Sie umgehend Ihre Daten."}, "", "pressure=suspicious"},
		{"pressure, with what nobody sees", Message{Subject: "Your acc\u200bount has been susp\u200bended", Text: "Ver\u00adify your identity within 24 hours."}, "", "hidden_text=suspicious pressure=suspicious"},
		{"one word of pressure", Message{Subject: "Last chance for early birds"}, "", ""},
		{"pressure of a newsletter that leads to many", Message{Subject: "Your account has been suspended: verify your identity", Links: many(7)}, "", ""},
		{"words that lead away", Message{From: d("shop.example"), Text: "Uw rekening is geblokkeerd", Links: link("")}, "", "leads_away=suspicious"},
		{"a call to click alone", Message{From: d("shop.example"), Text: "Klik hier", Links: link("")}, "", ""},
		{"words of a list's post", Message{From: d("shop.example"), Text: "Uw rekening is geblokkeerd", Links: link(""), List: true}, "", ""},
		{"a hurry alone", Message{From: d("shop.example"), Text: "Please hurry", Links: link("")}, "", ""},
		{"pictures where everybody can put one", Message{From: d("shop.example"), Links: link(""), Text: "Hello", Pictures: []bolwerk.Domain{d("i.imgur.com")}}, "", "picture_host=suspicious picture_only=suspicious"},
		{"pictures at home", Message{From: d("evil.example"), Links: link(""), Text: "Hello", Pictures: []bolwerk.Domain{d("img.evil.example")}}, "", ""},
		{"a picture of a friend", Message{From: d("gmail.com"), Text: strings.Repeat("Here is the house that we spoke of. ", 9), Pictures: []bolwerk.Domain{d("i.imgur.com")}}, "", ""},
		{"only pictures that lead away", Message{From: d("shop.example"), Links: link(""), Pictures: []bolwerk.Domain{d("img.shop.example")}}, "", "picture_only=suspicious"},
		{"only pictures that lead home", Message{From: d("evil.example"), Links: link(""), Pictures: []bolwerk.Domain{d("img.evil.example")}}, "", ""},
		{"words joined with signs", Message{From: d("shop.example"), Subject: "Unusual__visit_to_your_house", Links: link("")}, "", "joined_words=suspicious"},
		{"a file's name", Message{From: d("shop.example"), Subject: "my_notes_of_may_2026.txt", Links: link("")}, "", ""},
		{"a domain as a name", Message{From: d("shop.example"), Name: "Elsewhere.com Team", Links: link("")}, "", "display_domain=suspicious"},
		{"a domain as a name, and a link to it", Message{From: d("shop.example"), Name: "Elsewhere.com Team", Links: append(link(""), Link{Text: "", Target: d("www.elsewhere.com")})}, "", ""},
		{"a version as a name", Message{From: d("shop.example"), Name: "Release 2.0", Links: link("")}, "", ""},
		{"a real mail with one link changed", Message{From: d("shop.example"), Links: append(link(""), Link{Text: "", Target: d("exbank.be")}, Link{Text: "", Target: d("www.exbank.be")}, Link{Text: "", Target: d("mijn.exbank.be")})}, "", "real_links=suspicious"},
		{"the reader's address in the subject", Message{From: d("shop.example"), Subject: "jan@home.example, your turn", Links: link("")}, "", "address_in_subject=suspicious"},
		{"an address in an answer", Message{From: d("shop.example"), Subject: "Re: jan@home.example", Links: link("")}, "", ""},
		{"a little picture in the name", Message{From: d("shop.example"), Name: "✅ Jan", Links: link("")}, "", "decked_sender=suspicious"},
		{"a trade mark in the name", Message{From: d("shop.example"), Name: "Jan®", Links: link("")}, "", ""},
		{"to where names cost nothing", Message{From: d("shop.example"), Links: []Link{{Text: "", Target: d("fietsclub.weebly.com")}}}, "fietsclub.weebly.com", "leads_cheap=suspicious"},
		{"the same from a person", Message{From: d("gmail.com"), Links: []Link{{Text: "", Target: d("fietsclub.weebly.com")}}}, "fietsclub.weebly.com", ""},
		{"a suffix that does not exist", Message{From: d("shop.servic-atendimento"), Links: link("")}, "", "odd_sender=suspicious"},
		{"a sender that a machine made up", Message{From: d("fg3se7yy2kt8iy.com"), Links: link("")}, "", "odd_sender=suspicious"},
		{"an offer of the sender's own", Message{From: d("mail.evil.example"), Text: "Hurry! Click here, a free gift", Links: link("")}, "", ""},
		{"words that lead home", Message{From: d("mail.evil.example"), Text: "Klik hier", Links: link("")}, "", ""},
		{"a brand in the subject", Message{Subject: "Example Bank: uw pas verloopt, klik hier"}, "", "brand_named=suspicious"},
		{"a brand in the text of talk", Message{Subject: "lunch", Text: "Example Bank has a new branch"}, "", ""},
		{"an address as a name", Message{From: d("shop.example"), Name: "service@exbank.be"}, "", "display_address=suspicious"},
		{"its own address as a name", Message{From: d("shop.example"), Name: "info@shop.example"}, "", ""},
		{"bold letters of mathematics", Message{Subject: "𝗨𝗿𝗴𝗲𝗻𝘁"}, "", "hidden_text=suspicious"},
		{"a sender who cannot exist", Message{BadFrom: true, Text: "klik hier"}, "", "odd_sender=suspicious"},
		{"a made-up sender", Message{From: d("login-verify.top"), Text: "klik hier"}, "", "odd_sender=suspicious"},
		{"an office at a free address", Message{From: d("gmail.com"), Name: "Billing Department"}, "", "free_mail=suspicious"},
		{"a person at a free address", Message{From: d("gmail.com"), Name: "Jan Jansen"}, "", ""},
		{"more than one sender", Message{From: d("shop.example"), ManyFroms: true}, "", "many_senders=suspicious"},
		{"fail for a name of nobody", Message{From: d("shop.example"), Auth: fail}, "", ""},
		{"display name", Message{From: d("shop.example"), Name: `"Example Bank" service`}, "", "display_name=suspicious"},
		{"display name in other letters", Message{From: d("shop.example"), Name: "Ехample Bаnk"}, "", "display_name=suspicious hidden_text=suspicious"},
		{"display name of its own", Message{From: d("news.exbank.be"), Name: "Example Bank"}, "", ""},
		{"a word with it inside", Message{From: d("shop.example"), Name: "Example Bankers"}, "", ""},
		{"link text", Message{Links: link("https://www.exbank.be/login")}, "", "link_text=suspicious"},
		{"link text as a name", Message{Links: link("exbank.be")}, "", "link_text=suspicious"},
		{"link text of the sender, counted by a service", Message{From: d("shop.example"), Links: link("shop.example")}, "", ""},
		{"link text of a brand, counted by a service", Message{From: d("exbank.be"), Links: link("exbank.be")}, "", "brand_sender=suspicious link_text=suspicious"},
		{"link text of the same owner", Message{Links: link("www.evil.example")}, "", ""},
		{"link text that is a sentence", Message{Links: link("see exbank.be now")}, "", ""},
		{"another link of the mail", Message{Links: []Link{{Text: "exbank.be", Target: d("other.example")}}}, "", ""},
		{"the brand's own link in a forged mail", Message{From: d("exbank.be"), Name: "Example Bank", Auth: fail}, "www.exbank.be", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := p
			if c.at != "" {
				at = place(t, c.at)
			}
			strong := slices.DeleteFunc(MessageEvidence(c.m, at, b, []string{"MX.operator.example"}, psl), func(e Evidence) bool { return e.Tier == 3 })
			if got := reasons(strong); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	e := func(f Family, source string, tier Tier, w Word) Evidence {
		return Evidence{Family: f, Source: source, Tier: tier, Verdict: w, Reason: "r"}
	}
	for _, c := range []struct {
		name    string
		ev      []Evidence
		want    Word
		because string
	}{
		{"nothing", nil, Inconclusive, "low_coverage"},
		{"no data and failures are not clean", []Evidence{e(FamilyList, "a", 1, NoData), e(FamilyList, "b", 1, Failed)}, Inconclusive, "fetch_failed"},
		{"context alone", []Evidence{e(FamilyList, "a", 3, Malicious), e(FamilyMessage, "b", 3, Malicious)}, Inconclusive, "low_coverage"},
		{"a crowd alone", []Evidence{e(FamilyCrowd, "reports", 1, Malicious)}, Inconclusive, "low_coverage"},
		{"tier 1", []Evidence{e(FamilyList, "a", 1, Malicious)}, Malicious, ""},
		{"one of tier 2", []Evidence{e(FamilyList, "a", 2, Malicious)}, Suspicious, ""},
		{"two lists of tier 2", []Evidence{e(FamilyList, "a", 2, Malicious), e(FamilyList, "b", 2, Malicious)}, Malicious, ""},
		{"one list twice", []Evidence{e(FamilyList, "a", 2, Malicious), e(FamilyList, "a", 2, Malicious)}, Suspicious, ""},
		{"name and message", []Evidence{e(FamilyName, "a", 2, Malicious), e(FamilyMessage, "b", 2, Malicious)}, Malicious, ""},
		{"the name alone, from two sources", []Evidence{e(FamilyName, "a", 2, Malicious), e(FamilyName, "b", 2, Malicious)}, Suspicious, ""},
		{"the name alone, of tier 1", []Evidence{e(FamilyName, "a", 1, Malicious)}, Suspicious, ""},
		{"a look-alike", []Evidence{e(FamilyName, "a", 2, Suspicious)}, Suspicious, ""},
		{"clean", []Evidence{e(FamilyList, "a", 1, Clean), e(FamilyList, "b", 2, NoData)}, Clean, ""},
		{"clean of tier 2 is not enough", []Evidence{e(FamilyList, "a", 2, Clean)}, Inconclusive, "low_coverage"},
		{"clean against tier 2", []Evidence{e(FamilyList, "a", 1, Clean), e(FamilyList, "b", 2, Malicious)}, Suspicious, ""},
		{"clean against context", []Evidence{e(FamilyList, "a", 1, Clean), e(FamilyList, "b", 3, Malicious)}, Suspicious, ""},
		{"clean against two of tier 2", []Evidence{e(FamilyList, "a", 1, Clean), e(FamilyList, "b", 2, Malicious), e(FamilyList, "c", 2, Malicious)}, Inconclusive, "contradiction"},
		{"tier 1 against tier 1", []Evidence{e(FamilyList, "a", 1, Clean), e(FamilyList, "b", 1, Malicious)}, Inconclusive, "contradiction"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Judge(c.ev)
			if v.Word != c.want || v.Because != c.because {
				t.Errorf("got %s (%s), want %s (%s)", v.Word, v.Because, c.want, c.because)
			}
			if len(v.Reasons) == 0 || v.Ruleset != Ruleset {
				t.Errorf("a verdict has reasons and a ruleset: %+v", v)
			}
		})
	}
}

// TestJudge_holds lets chance choose evidence: the order never matters, the crowd
// and what is missing never change a word, and more evidence against a name never
// makes it clean.
func TestJudge_holds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	words := []Word{Malicious, Suspicious, Clean, NoData, Failed}
	families := []Family{FamilyName, FamilyList, FamilyMessage}
	one := func() Evidence {
		return Evidence{Family: families[r.IntN(3)], Source: string(rune('a' + r.IntN(3))), Tier: Tier(1 + r.IntN(3)), Verdict: words[r.IntN(5)], Reason: "r"}
	}
	for range 20_000 {
		var ev []Evidence
		for range r.IntN(6) {
			ev = append(ev, one())
		}
		v := Judge(ev)
		turned := slices.Clone(ev)
		r.Shuffle(len(turned), func(i, j int) { turned[i], turned[j] = turned[j], turned[i] })
		w := Judge(turned)
		if v.Word != w.Word || v.Because != w.Because || !slices.Equal(v.Reasons, w.Reasons) {
			t.Fatalf("the order matters: %+v: %+v, %+v", ev, v, w)
		}
		crowd := Judge(append(slices.Clone(ev), Evidence{Family: FamilyCrowd, Tier: 1, Verdict: words[r.IntN(5)], Reason: "c"}))
		if crowd.Word != v.Word {
			t.Fatalf("the crowd made %s of %s: %+v", crowd.Word, v.Word, ev)
		}
		missing := Judge(append(slices.Clone(ev), Evidence{Family: FamilyList, Tier: 1, Verdict: NoData, Reason: "n"}))
		if missing.Word != v.Word {
			t.Fatalf("a source without data made %s of %s: %+v", missing.Word, v.Word, ev)
		}
		more := Judge(append(slices.Clone(ev), Evidence{Family: FamilyList, Source: "z", Tier: Tier(1 + r.IntN(3)), Verdict: Malicious, Reason: "m"}))
		if more.Word == Clean || v.Word == Malicious && more.Word != Malicious || v.Because == "contradiction" && more.Because != v.Because || v.Word == Suspicious && more.Word == Clean {
			t.Fatalf("evidence against it made %s of %s: %+v", more.Word, v.Word, ev)
		}
		onlyName := true
		for _, e := range ev {
			onlyName = onlyName && e.Family == FamilyName
		}
		if onlyName && v.Word == Malicious {
			t.Fatalf("the name alone is malicious: %+v", ev)
		}
	}
}

func TestPriority(t *testing.T) {
	if Priority(0, false, 48*time.Hour) < 1 {
		t.Error("everything has a priority")
	}
	if a, b := Priority(1_000_000, false, time.Minute), Priority(64, false, time.Minute); a != b {
		t.Errorf("a flood buys more than 64 reporters: %d, %d", a, b)
	}
	if Priority(3, true, time.Hour) <= Priority(3, false, time.Hour) || Priority(3, false, time.Hour) <= Priority(3, false, 2*time.Hour) || Priority(4, false, 0) <= Priority(2, false, 0) {
		t.Error("a brand, a fresh report and more reporters each come first")
	}
	if Priority(-5, false, -time.Hour) < 1 {
		t.Error("odd input")
	}
}

func FuzzName(f *testing.F) {
	b, pf := brands(f), platforms(f)
	for _, s := range []string{"my-examplebank.example", "xn--exmplebank-rij.example", "a.b.github.io", "xn--80ak6aa92e.com", "exbank.exbank.example", "-.-.x"} {
		f.Add(s, "Example Bank", "https://"+s)
	}
	f.Fuzz(func(t *testing.T, name, display, text string) {
		dom, err := bolwerk.ParseDomain(name)
		if err != nil {
			return
		}
		p := PlaceOf(dom, psl, pf)
		if o := p.Owner(); !o.IsZero() && !dom.Below(o) {
			t.Fatalf("owner %s of %s", o, dom)
		}
		ev := NameEvidence(p, b)
		ev = append(ev, MessageEvidence(Message{From: dom, Name: display, Links: []Link{{Text: text, Target: dom}}}, p, b, nil, psl)...)
		if v := Judge(NameEvidence(p, b)); v.Word == Malicious {
			t.Fatalf("the name alone made %s malicious", dom)
		}
		Judge(ev)
		CampaignKey(p, "Example Bank", b)
		s := DecideScope(Target{Place: p, AgeKnown: true, OwnerMalicious: true}, nil)
		if s.Scope.DNS() && (!dom.Below(s.Name) || psl.Is(s.Name)) {
			t.Fatalf("%s: proposed %s on %s", dom, s.Scope, s.Name)
		}
	})
}
