package reading

import (
	"slices"
	"testing"
)

func TestNormalise(t *testing.T) {
	for _, c := range []struct {
		raw, want, host string
		notes           []string
	}{
		{"HTTP://Bank.Example", "http://bank.example/", "bank.example", nil},
		{"https://bank.example:443/a?#frag", "https://bank.example/a", "bank.example", nil},
		{"https://bank.example:0443/", "https://bank.example/", "bank.example", nil},
		{"http://bank.example:8080?x=1", "http://bank.example:8080/?x=1", "bank.example", nil},
		{"http://bank.example./", "http://bank.example/", "bank.example", nil},
		{"http://bank.example@evil.example/", "http://evil.example/", "evil.example", []string{"userinfo"}},
		{"http://bank.example:pw@evil.example@real.example/", "http://real.example/", "real.example", []string{"userinfo"}},
		{`http:\\evil.example\a\..\b`, "http://evil.example/b", "evil.example", []string{"backslash"}},
		{`http://evil.example\@bank.example/`, "http://evil.example/@bank.example/", "evil.example", []string{"backslash"}},
		{"ht\ntp://ev\til.example/\r\nx", "http://evil.example/x", "evil.example", []string{"control-characters"}},
		{"http:evil.example/x", "http://evil.example/x", "evil.example", nil},
		{"http:////evil.example/x", "http://evil.example/x", "evil.example", nil},
		{"http://ev%69l.example/%7euser/%2f/%zz?q=%c3%a4 b", "http://evil.example/~user/%2F/%25zz?q=%C3%A4%20b", "evil.example", nil},
		{"http://a.example/x/./y/../../z/..", "http://a.example/", "a.example", nil},
		{"http://münchen.example/ä", "http://xn--mnchen-3ya.example/%C3%A4", "xn--mnchen-3ya.example", nil},
		{"http://ｅｖｉｌ。example/", "http://evil.example/", "evil.example", nil},
		{"https://evil.example/a#jan@home.example", "https://evil.example/a", "evil.example", []string{"address-in-fragment"}},
		{"https://evil.example/#amFuQGhvbWUuZXhhbXBsZQ==", "https://evil.example/", "evil.example", []string{"address-in-fragment"}},
		{"https://shop.example/#section-2", "https://shop.example/", "shop.example", nil},
		{"https://shop.example/#@jan", "https://shop.example/", "shop.example", nil},
		{"https://evil.example/?to=%62%61%6E%6b", "https://evil.example/?to=bank", "evil.example", []string{"encoded-letters"}},
		{"https://shop.example/?q=a%20b%2Fc%3Dd%26e", "https://shop.example/?q=a%20b%2Fc%3Dd%26e", "shop.example", nil},
		{"http://3221225985/", "http://192.0.2.1/", "192.0.2.1", []string{"encoded-address"}},
		{"http://0xC0000201/", "http://192.0.2.1/", "192.0.2.1", []string{"encoded-address"}},
		{"http://0300.0.02.1/", "http://192.0.2.1/", "192.0.2.1", []string{"encoded-address"}},
		{"http://192.0.513/", "http://192.0.2.1/", "192.0.2.1", []string{"encoded-address"}},
		{"http://１９２.0.2.1/", "http://192.0.2.1/", "192.0.2.1", []string{"encoded-address"}},
		{"http://[2001:DB8:0::1]:80/", "http://[2001:db8::1]/", "2001:db8::1", nil},
		{"ftp://a.example:21/x", "ftp://a.example/x", "a.example", nil},
		{"http://_dmarc.a_b.example/", "http://_dmarc.a_b.example/", "_dmarc.a_b.example", nil},
	} {
		u, ok := Normalise(c.raw)
		if !ok || u.URL != c.want || u.Host != c.host || !slices.Equal(u.Notes, c.notes) {
			t.Errorf("Normalise(%q):\n got %q host %q notes %v %v\nwant %q host %q notes %v", c.raw, u.URL, u.Host, u.Notes, ok, c.want, c.host, c.notes)
		}
		if again, ok := Normalise(u.URL); !ok || again.URL != u.URL || again.Notes != nil {
			t.Errorf("Normalise(%q) again: %q %v %v", u.URL, again.URL, again.Notes, ok)
		}
	}
}

func TestNormaliseRefuses(t *testing.T) {
	for _, raw := range []string{"", "http://", "http:///", "mailto:a@b.example", "javascript:alert(1)", "http://a b.example/",
		"http://a.example:x/", "http://a.example:99999/", "http://a..example/", "http://256.1.1.1/", "http://1.2.3.4.5/", "http://[::1%25eth0]/",
		"http://[::1/", "//a.example/", "a.example", "http://a.example:+80/", "http://0x100000000/"} {
		if u, ok := Normalise(raw); ok {
			t.Errorf("Normalise(%q): got %q, want a refusal", raw, u.URL)
		}
	}
}
