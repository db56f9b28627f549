package content

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/suffix"
	"bolwerk/shield/aid"
	"bolwerk/shield/capture"
	"bolwerk/shield/judge"
)

func testBrands(t testing.TB) *judge.Brands {
	t.Helper()
	b, err := judge.NewBrands(suffix.Builtin(),
		judge.Brand{Name: "Merelbank", Tokens: []string{"merelbank"}, Domains: []bolwerk.Domain{bolwerk.MustDomain("merelbank.example")}, Icons: []string{iconSum}},
		judge.Brand{Name: "Reigerpost", Tokens: []string{"reigerpost"}, Domains: []bolwerk.Domain{bolwerk.MustDomain("reigerpost.example")}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// iconSum is of the five octets "merel".
const iconSum = "5d6e6cf9c3b5f7ea66ff8bd6ac1f8cb2a4ad0bfae6d36b4aaecb0ba1f5a5dd38"

func bundle(at, page string, more ...capture.Part) *capture.Bundle {
	b := &capture.Bundle{Capture: capture.Capture{V: 1, URL: at, Profile: capture.Desktop, At: time.Unix(1795608000, 0).UTC(),
		Hops: []capture.Hop{{URL: at, Via: "asked", Status: 200}}}}
	if page != "" {
		b.Put(capture.Part{Kind: capture.HTML, URL: at, Type: "text/html", Status: 200}, []byte(page))
	}
	for _, p := range more {
		b.Put(p, []byte(p.URL))
	}
	return b
}

func TestFieldsAreKnownByWhatTheyAskFor(t *testing.T) {
	for in, want := range map[string]Ask{
		`<input type="password" name="p">`:                                                                   Password,
		`<input type="text" autocomplete="cc-number">`:                                                       Card,
		`<input type="tel" name="cardNumber">`:                                                               Card,
		`<label for="k">Kaartnummer</label><input id="k">`:                                                   Card,
		`<label>Numéro de carte <input name="a"></label>`:                                                    Card,
		`<p>Kartenprüfnummer</p><input name="x3">`:                                                           Card,
		`<input type="password" placeholder="CVC" maxlength="3">`:                                            Card,
		`<input type="password" name="pincode">`:                                                             Card,
		`<input autocomplete="one-time-code" name="c">`:                                                      OTP,
		`<label for="s">Code reçu par SMS</label><input id="s">`:                                             OTP,
		`<input name="smsCode">`:                                                                             OTP,
		`<input name="otp_1" maxlength="1">`:                                                                 OTP,
		`<label for="r">Respons van uw kaartlezer</label><input id="r">`:                                     OTP,
		`<input placeholder="BE00 0000 0000 0000" name="iban">`:                                              IBAN,
		`<label>Rekeningnummer<input></label>`:                                                               IBAN,
		`<input name="rijksregisternummer">`:                                                                 Identity,
		`<label>Burgerservicenummer (BSN)<input name=x></label>`:                                             Identity,
		`<label for="i">Numéro de carte d'identité</label><input id="i">`:                                    Identity,
		`<label>Foto van uw identiteitskaart<input type="file" name="f"></label>`:                            Identity,
		`<textarea placeholder="Enter your 12 word seed phrase"></textarea>`:                                 Password,
		`<input type="email" name="email">`:                                                                  "",
		`<input type="search" name="q" placeholder="card number">`:                                           "",
		`<input type="text" name="postcode" placeholder="Postcode">`:                                         "",
		`<input type="text" name="spin" placeholder="Shipping">`:                                             "",
		`<input type="text" name="city" placeholder="Plaats">`:                                               "",
		`<input type="text" name="coupon" placeholder="Kortingscode">`:                                       "",
		`<input type="hidden" name="csrf" value="card number">`:                                              "",
		`<p>Vul nooit uw kaartnummer in.</p><p>Wij vragen dat ook niet aan de telefoon, beloofd.</p><input>`: "",
	} {
		f, _ := Look(bundle("https://a.example/", `<form>`+in+`</form>`), nil, suffix.Builtin())
		got := Ask("")
		if len(f.Asks) > 0 {
			got = f.Asks[0]
		}
		if got != want || len(f.Asks) > 1 {
			t.Errorf("%s: got %v, want %q", in, f.Asks, want)
		}
	}
}

func TestAFormIsKnownByWhereItSends(t *testing.T) {
	for _, c := range []struct {
		at, form   string
		off, plain bool
	}{
		{"https://a.example/x/", `<form action="login.php">`, false, false},
		{"https://a.example/x/", `<form>`, false, false},
		{"https://a.example/x/", `<form action="https://www.a.example/in">`, false, false},
		{"https://a.example/x/", `<form action="https://evil.example/in">`, true, false},
		{"https://a.example/x/", `<form action="http://a.example/in">`, false, true},
		{"http://a.example/x/", `<form action="in">`, false, true},
		{"https://a.example/x/", `<base href="https://b.example/"><form action="in">`, true, false},
		{"https://a.example/x/", `<form action="mailto:x@y.example">`, true, false},
		{"https://a.example/x/", `<form action="https://x.github.io/in">`, true, false},
		{"https://x.github.io/", `<form action="https://y.github.io/in">`, true, false},
		{"https://192.0.2.1/", `<form action="https://192.0.2.1/in">`, false, false},
		{"https://192.0.2.1/", `<form action="https://192.0.2.2/in">`, true, false},
	} {
		f, _ := Look(bundle(c.at, c.form+`<input type=password></form>`), nil, suffix.Builtin())
		if len(f.Forms) != 1 || f.Forms[0].Off != c.off || f.Forms[0].Plain != c.plain {
			t.Errorf("%s %s: got %+v", c.at, c.form, f.Forms)
		}
	}
}

func reasons(all []judge.Evidence) (out []string) {
	for _, e := range all {
		out = append(out, fmt.Sprintf("%s %s/%d", e.Reason, e.Verdict, e.Tier))
	}
	return out
}

func TestWhatAPageShowsIsEvidence(t *testing.T) {
	brands := testBrands(t)
	const login = `<form action="next.php"><input name=user><input type=password name=p></form>`
	const card = `<form action="next.php"><label>Kaartnummer<input name=a></label><label>CVC<input name=b></label></form>`
	logo := `<img class="logo" src="l.svg" alt="Merelbank">`
	for _, c := range []struct {
		name, at, page string
		want           []string
	}{
		{"title and logo over a log-in", "https://x.example/", `<title>Merelbank - aanmelden</title>` + logo + login, []string{"brand_form malicious/2"}},
		{"title over a log-in", "https://x.example/", `<title>Merelbank - aanmelden</title>` + login, []string{"brand_form suspicious/2"}},
		{"copyright and hot-linked files", "https://x.example/", `<title>Welkom</title><link rel=stylesheet href="https://www.merelbank.example/a.css">` + card + `<footer>© 2026 Merelbank NV</footer>`, []string{"brand_form malicious/2"}},
		{"the brand itself", "https://www.merelbank.example/", `<title>Merelbank - aanmelden</title>` + logo + login, []string{"own_page no_data/3"}},
		{"a shop with the carrier's logo", "https://shop.example/", `<title>Bloemen van Ans</title><img class="logo" alt="Reigerpost"><script src="https://w.reigerpost.example/pick.js"></script>` + login, []string{"form no_data/3"}},
		{"news about the brand", "https://news.example/", `<title>Phishing in naam van Merelbank</title><p>Let op.</p>`, []string{"nothing_asked no_data/3"}},
		{"a page that shows itself as the brand and asks nothing yet", "https://x.example/", `<title>Merelbank</title>` + logo, []string{"brand_page suspicious/3"}},
		{"a log-in", "https://x.example/", `<title>Club</title>` + login, []string{"form no_data/3"}},
		{"a password that goes elsewhere", "https://x.example/", `<form action="https://y.example/c"><input type=password></form>`, []string{"form_off_domain suspicious/2"}},
		{"a shop's payment at its provider", "https://x.example/", `<form action="https://pay.example/c"><input autocomplete=cc-number></form>`, []string{"form no_data/3"}},
		{"no TLS", "http://x.example/", login, []string{"form_plain suspicious/3"}},
		{"asks for all there is", "https://x.example/", card + `<form><input name=iban><input name=otp></form>`, []string{"asks_much suspicious/3"}},
		{"nothing there", "https://x.example/", "", []string{"no_page no_data/3"}},
	} {
		f, all := Look(bundle(c.at, c.page), brands, suffix.Builtin())
		if got := reasons(all); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v (%+v)", c.name, got, c.want, f)
		}
		for _, e := range all {
			if e.Verdict == judge.Clean {
				t.Errorf("%s: a page is never clean", c.name)
			}
		}
	}
}

func TestAPageThatWasNotFetchedIsNeverClean(t *testing.T) {
	b := bundle("https://x.example/", "")
	b.Failed, b.Detail = "timeout", "10 s"
	_, all := Look(b, nil, suffix.Builtin())
	if got := reasons(all); !slices.Equal(got, []string{"timeout failed/3"}) {
		t.Errorf("got %v", got)
	}
}

func TestAsksAreInTheWordsOfFirstAid(t *testing.T) {
	f, _ := Look(bundle("https://x.example/", `<form><input type=password><input name=cvv><a class="btn itsme">itsme</a></form>`), nil, suffix.Builtin())
	if got, want := f.Aid(), aid.Of(aid.Password, aid.Card, aid.OTP); got != want {
		t.Errorf("got %s, want %s (%+v)", got, want, f.Forms)
	}
}

// kitPage is a page of a kit, filled in for one victim.
func kitPage(name, token string, extra string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<html lang=nl><head><title>%s</title><meta name=csrf content=%q><link rel=stylesheet href="/c.css"></head><body class=page>`, name, token)
	for i := range 20 {
		fmt.Fprintf(&b, `<div class="row r%d"><span class=label>%s</span><p class=t>text %s</p></div>`, i, name, token)
	}
	return b.String() + extra + `<form action=next.php><label class=f>Kaartnummer<input name=card class=i></label><input type=password name=pin><button class=go>Ga verder</button></form></body></html>`
}

func TestPagesOfOneKitHaveNearlyOneHash(t *testing.T) {
	hash := func(page string) uint64 {
		f, _ := Look(bundle("https://x.example/", page), nil, suffix.Builtin())
		return f.DOM
	}
	one := hash(kitPage("Jan", "a81f", ""))
	if d := Distance(one, hash(kitPage("Fatima", "77", ""))); d != 0 {
		t.Errorf("the same kit for another victim: %d bits", d)
	}
	if d := Distance(one, hash(kitPage("Jan", "a81f", `<div class="note"><b>x</b></div>`))); d > 3 {
		t.Errorf("the same kit with a note more: %d bits", d)
	}
	other := `<html><body>` + strings.Repeat(`<table><tr><td width=10><a href="/x">x</a></td></tr></table>`, 20) + `<form><input type=password></form>`
	if d := Distance(one, hash(other)); d < 12 {
		t.Errorf("another page: %d bits", d)
	}
	if h := hash(`<form><input type=password></form>`); h != 0 {
		t.Errorf("a page of two tags has the hash %x", h)
	}
}

func FuzzLook(f *testing.F) {
	f.Add([]byte(kitPage("a", "b", "")))
	f.Add([]byte(`<form action="://"><base href="%"><input type=password></form><template><label for=a>`))
	f.Add([]byte(`<svg><title>x</title><script/>`))
	brands := testBrands(f)
	f.Fuzz(func(t *testing.T, page []byte) {
		b := bundle("https://x.example/a", string(page))
		facts, all := Look(b, brands, suffix.Builtin())
		again, all2 := Look(b, brands, suffix.Builtin())
		if fmt.Sprint(facts, all) != fmt.Sprint(again, all2) {
			t.Errorf("not the same twice")
		}
		if len(facts.Forms) > maxForms || len(facts.Title) > maxText || len(all) == 0 {
			t.Errorf("%d forms, %d pieces", len(facts.Forms), len(all))
		}
		for _, e := range all {
			if e.Verdict == judge.Clean || e.Tier < 2 {
				t.Errorf("%+v", e)
			}
		}
	})
}
