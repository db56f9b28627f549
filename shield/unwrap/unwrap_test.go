package unwrap

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestOnce(t *testing.T) {
	const to = "https://evil.example/in?a=1&b=2"
	enc := url.QueryEscape(to)
	b64 := base64.StdEncoding.EncodeToString([]byte(to))
	raw := base64.RawURLEncoding.EncodeToString([]byte(to))
	for _, c := range []struct{ link, by, want string }{
		{"https://eur01.safelinks.protection.outlook.com/?url=" + enc + "&data=05%7C01%7C&reserved=0", "safelinks", to},
		{"https://gcc02.safelinks.protection.outlook.com/GetUrl?url=" + enc, "safelinks", to},
		{"https://nld01.safelinks.protection.outlook.com/ap/t-59584e83/?url=" + enc + "&data=x", "safelinks", to},
		{"https://eur02.safelinks.protection.outlook.com/?url=" + url.QueryEscape("https://evil.example/&data=05|01|x"), "safelinks", "https://evil.example/"},
		{"https://eur01.safelinks.protection.outlook.com/?amp;url=" + enc, "safelinks", to},
		{"https://statics.teams.cdn.office.net/evergreen-assets/safelinks/1/atp-safelinks.html?url=" + enc + "&locale=nl-nl", "safelinks", to},
		{"https://urldefense.proofpoint.com/v1/url?u=http://evil.example/a&k=oIvRg1%2BdGA", "proofpoint", "http://evil.example/a"},
		{"https://urldefense.proofpoint.com/v2/url?u=https-3A__evil.example_in-3Fa-3D1-26b-3D2&d=DwM&c=V", "proofpoint", to},
		{"https://urldefense.proofpoint.com/v2/url?u=http-3A__my-2Devil.example_a-5Fb&d=DwM", "proofpoint", "http://my-evil.example/a_b"},
		{"https://urldefense.com/v3/__https://evil.example:443/search?q=a*test&gs=ps__;Kw!-612Flbf0JvQ3kNJkRi5Jg!Ue6t$", "proofpoint", "https://evil.example:443/search?q=a+test&gs=ps"},
		{"https://urldefense.us/v3/__https:/evil.example/in__;!!x!y$", "proofpoint", "https://evil.example/in"},
		// Five characters in one run, "**D", then one alone.
		{"https://urldefense.com/v3/__https://evil.example/**Dx*__;" + base64.RawURLEncoding.EncodeToString([]byte("éàüß€+")) + "!!x$", "proofpoint", "https://evil.example/éàüß€x+"},
		{"https://linkprotect.cudasvc.com/url?a=" + enc + "&c=E,1,x&typo=1", "barracuda", to},
		{"https://secure-web.cisco.com/1G_SeRH3AwLxm/" + strings.ReplaceAll(enc, "+", "%20"), "cisco", to},
		{"https://secure-web.cisco.com/auth=15a1Hmvm&url=https%3A%2F%2Fevil.example%2F", "", ""},
		{"https://eu-west-1.protection.sophos.com/?d=evil.example&u=" + b64 + "&i=x", "sophos", to},
		{"https://imsva91-ctp.trendmicro.com:443/wis/clicktime/v1/query?url=" + enc + "&umid=A&auth=b", "trendmicro", to},
		{"https://clicktime.symantec.com/a/1/x=?d=y&u=" + enc, "symantec", to},
		{"https://protect2.fireeye.com/v1/url?k=1&q=1&e=2&u=" + enc, "fireeye", to},
		{"https://urlsand.esvalabs.com/?u=" + enc + "&e=1", "esva", to},
		{"https://protect.checkpoint.com/v2/___https://evil.example/in___.YXA", "checkpoint", "https://evil.example/in"},
		{"https://www.google.com/url?sa=t&q=" + enc + "&usg=x", "google", to},
		{"https://www.google.co.uk/url?url=" + enc, "google", to},
		{"https://google.be/url?q=" + enc, "google", to},
		{"https://www.google.nl/amp/s/evil.example/in", "google", "https://evil.example/in"},
		{"https://www.google.com/amp/evil.example/in", "google", "http://evil.example/in"},
		{"https://evil-example.cdn.ampproject.org/c/s/evil.example/in?x=1", "amp", "https://evil.example/in?x=1"},
		{"https://my--bank-evil-example.translate.goog/in?_x_tr_sl=nl", "google-translate", "https://my-bank.evil.example/in?_x_tr_sl=nl"},
		{"https://translate.google.com/translate?sl=auto&u=" + enc, "google-translate", to},
		{"https://www.bing.com/ck/a?!&&p=1&u=a1" + raw + "&ntb=1", "bing", to},
		{"https://r.search.yahoo.com/_ylt=A/RV=2/RE=1/RO=10/RU=" + strings.ReplaceAll(enc, "+", "%20") + "/RK=2/RS=x", "yahoo", to},
		{"https://l.facebook.com/l.php?u=" + enc + "&h=AT0", "facebook", to},
		{"https://l.instagram.com/?u=" + enc + "&e=1", "instagram", to},
		{"https://www.linkedin.com/redir/redirect?url=" + enc + "&urlhash=x", "linkedin", to},
		{"https://www.linkedin.com/safety/go?url=" + enc, "linkedin", to},
		{"https://www.youtube.com/redirect?event=v&q=" + enc, "youtube", to},
		{"https://vk.com/away.php?to=" + enc, "vk", to},
		{"https://deref-gmx.net/mail/client/x/dereferrer/?redirectUrl=" + enc, "deref", to},
		// Encoded once too often.
		{"https://www.google.com/url?q=" + url.QueryEscape(enc), "google", to},

		// No wrapper: names that merely contain one, or a page of the same company.
		{"https://eur01.safelinks.protection.outlook.com.evil.example/?url=" + enc, "", ""},
		{"https://evil.example/urldefense.com/v3/__https://good.example/__;!!$", "", ""},
		{"https://xurldefense.com/v3/__https://good.example/__;!!$", "", ""},
		{"https://urldefense.com.evil.example/v3/__https://good.example/__;!!$", "", ""},
		{"https://urldefense.com@evil.example/v3/__https://good.example/__;!!$", "", ""},
		{`https://urldefense.com\@evil.example/v3/__https://good.example/__;!!$`, "", ""},
		{"https://www.google.evil.example/url?q=" + enc, "", ""},
		{"https://www.google.evil/url?q=" + enc, "", ""},
		{"https://www.google.com.evil/url?q=" + enc, "", ""},
		{"https://safelinks.protection.outlook.com/?url=" + enc, "", ""},
		{"https://www.google.com/search?q=" + enc, "", ""},
		{"https://www.linkedin.com/slink?code=abc", "", ""},
		{"https://www.linkedin.com/in/somebody?url=" + enc, "", ""},
		{"https://protect-eu.mimecast.com/s/abc?domain=evil.example", "", ""},
		{"https://bit.ly/3abc?url=" + enc, "", ""},
		// What is inside is no address.
		{"https://www.google.com/url?q=javascript:alert(1)", "", ""},
		{"https://www.google.com/url?q=/search", "", ""},
		{"https://urldefense.com/v3/__https://evil.example/**D__;Kw!!$", "", ""},
		{"https://urldefense.com/v3/__https://evil.example/*__;!!$", "", ""},
		{"https://eu-west-1.protection.sophos.com/?d=evil.example&u=%%%", "", ""},
		{"ftp://www.google.com/url?q=" + enc, "", ""}, {"nonsense", "", ""}, {"", "", ""},
		{"https://www.google.com/url?q=https://evil.example/" + strings.Repeat("a", MaxBytes), "", ""},
	} {
		got, by, ok := Once(c.link)
		if got != c.want || by != c.by || ok != (c.want != "") {
			t.Errorf("Once(%.120s)\n got %q by %q, want %q by %q", c.link, got, by, c.want, c.by)
		}
	}
}

func TestStrip(t *testing.T) {
	const me = "Jan.Jansen@Customer.example"
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	nobody64 := base64.RawURLEncoding.EncodeToString([]byte(Nobody))
	for _, c := range []struct{ link, want, taken string }{
		{"https://evil.example/a?b=c", "https://evil.example/a?b=c", ""},
		{"https://evil.example/a?x=jan.jansen@customer.example", "https://evil.example/a?x=" + Nobody, "address"},
		{"https://evil.example/a?x=JAN.jansen%40customer.example&b=c", "https://evil.example/a?x=nobody%40example.org&b=c", "address"},
		{"https://evil.example/a?x=jan.jansen%2540customer.example", "https://evil.example/a?x=nobody%2540example.org", "address"},
		{"https://evil.example/a?x=" + b64("jan.jansen@customer.example"), "https://evil.example/a?x=" + nobody64, "address"},
		{"https://evil.example/a?x=" + url.QueryEscape(b64("jan.jansen@customer.example")), "https://evil.example/a?x=" + nobody64, "address"},
		{"https://evil.example/a?" + b64("jan.jansen@customer.example"), "https://evil.example/a?" + nobody64, "address"},
		{"https://evil.example/a?x=" + hex.EncodeToString([]byte("jan.jansen@customer.example")), "https://evil.example/a?x=" + hex.EncodeToString([]byte(Nobody)), "address"},
		{"https://evil.example/jan.jansen@customer.example/in", "https://evil.example/" + Nobody + "/in", "address"},
		{"https://evil.example/" + b64("jan.jansen@customer.example") + "/in", "https://evil.example/" + nobody64 + "/in", "address"},
		{"https://evil.example/a#jan.jansen@customer.example", "https://evil.example/a", "fragment"},
		{"https://jan.jansen:x@evil.example/a", "https://evil.example/a", "userinfo"},
		{"https://evil.example/a?x=somebody.else@other.example", "https://evil.example/a?x=" + Nobody, "address"},
		{"https://evil.example/a?u=jan.jansen", "https://evil.example/a?u=nobody", "address"},
		{"https://evil.example/a?email=x&utm_source=nl&p=1&rid=Ab3", "https://evil.example/a?email=&utm_source=&p=1&rid=", "email utm_source rid"},
		{"https://evil.example/a?s=eyJhbGciOi.eyJzdWIi.c2ln", "https://evil.example/a?s=", "s"},
		{"https://evil.example/a?q=0123456789abcdef0123456789abcdef", "https://evil.example/a?q=", "q"},
		{"https://evil.example/a?q=a-long-title-of-a-page-with-words-in-it", "https://evil.example/a?q=a-long-title-of-a-page-with-words-in-it", ""},
		{"https://evil.example/a?x=29f8a4b5", "https://evil.example/a?x=29f8a4b5", ""},
		{"no link", "", ""},
	} {
		got, taken := Strip(c.link, []string{me, "", "not an address"})
		if got != c.want || strings.Join(taken, " ") != c.taken {
			t.Errorf("Strip(%s)\n got %s %v\nwant %s %s", c.link, got, taken, c.want, c.taken)
		}
	}
}

// FuzzOnce: whatever is unwrapped is an absolute web address within bounds, and
// a foreign host never unwraps.
func FuzzOnce(f *testing.F) {
	for _, s := range []string{"https://urldefense.com/v3/__https://evil.example/**Dx*__;w6nDoMO8w5_igqwr!!x$", "https://www.bing.com/ck/a?u=a1aHR0cHM6Ly9hLmI", "https://a--b-c.translate.goog/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		to, by, ok := Once(s)
		if !ok {
			return
		}
		if by == "" || len(to) > MaxBytes+8 || !utf8.ValidString(to) && utf8.ValidString(s) || !strings.HasPrefix(to, "http://") && !strings.HasPrefix(to, "https://") {
			t.Fatalf("Once(%q) = %q by %q", s, to, by)
		}
		if _, _, ok := Once("https://evil.example/?u=" + url.QueryEscape(s)); ok {
			t.Fatalf("a foreign host unwrapped %q", s)
		}
	})
}

// FuzzStrip: no form of the reporter's address that the rules know is left
// behind the host.
func FuzzStrip(f *testing.F) {
	const me = "jan.jansen@customer.example"
	f.Add("a?x=", "", uint8(0))
	f.Add("", "?b=c", uint8(2))
	f.Add("\xc9=", "?\xc2S", uint8(3))
	f.Add("a==", "", uint8(2))
	f.Add("%&", "", uint8(1))
	f.Fuzz(func(t *testing.T, before, after string, how uint8) {
		forms := []string{me, url.QueryEscape(me), base64.RawURLEncoding.EncodeToString([]byte(me)), hex.EncodeToString([]byte(me))}
		form := forms[how%4]
		if how%4 > 0 && (before != "" && !strings.ContainsAny(before[len(before)-1:], "/=?&") || after != "" && !strings.ContainsAny(after[:1], "/?&#")) {
			return // encoded together with what stands around it
		}
		link := "https://evil.example/" + before + form + after
		if len(link) > MaxBytes {
			return
		}
		if clean, _ := Strip(link, []string{me}); strings.Contains(clean, form) {
			t.Fatalf("Strip(%q) = %q", link, clean)
		}
	})
}
