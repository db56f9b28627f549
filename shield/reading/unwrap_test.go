package reading

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestUnwrapped: what a filter wrapped is read as what it wraps, the wrapper is
// noise, and the steps are kept.
func TestUnwrapped(t *testing.T) {
	wrap := func(s string) string {
		return "https://eur01.safelinks.protection.outlook.com/?url=" + url.QueryEscape(s) + "&data=05"
	}
	search := func(s string) string { return "https://www.google.com/url?q=" + url.QueryEscape(s) }
	const evil = "https://evil.example/in?a=1"
	deep := evil
	for range 5 {
		deep = search(deep)
	}
	for _, c := range []struct {
		link, want string
		via        []string
	}{
		{wrap(evil), evil, []string{"safelinks"}},
		{"HTTPS://EUR01.SafeLinks.Protection.Outlook.com/?url=" + url.QueryEscape(evil), evil, []string{"safelinks"}},
		{wrap("https://urldefense.com/v3/__" + evil + "__;!!x$"), evil, []string{"safelinks", "proofpoint"}},
		{search(wrap("hTTps://EVIL.example/in?a=1#x")), evil, []string{"google", "safelinks"}},
		{deep, evil, []string{"google", "google", "google", "google", "google"}},
		// One deeper: what is left is the innermost wrapper, which no DNS block takes.
		{search(deep), search(evil), []string{"google", "google", "google", "google", "google"}},
	} {
		r := Text("Klik hier: " + c.link + " nu")
		w := r.Wanted()
		if len(w) != 1 || len(r.URLs) != 2 || r.URLs[1].Role != Wrapper {
			t.Fatalf("%s: read %+v", c.link, r.URLs)
		}
		if u, _ := Normalise(c.want); w[0].URL != u.URL || !slices.Equal(w[0].Via[1:], c.via) || w[0].Role != Lure {
			t.Errorf("%s: read %s via %v, want %s via %v", c.link, w[0].URL, w[0].Via, c.want, c.via)
		}
		if l := Link(c.link); len(l.Warnings) > 0 || len(l.Wanted()) != 1 || l.Wanted()[0].URL != w[0].URL {
			t.Errorf("%s: as a link %+v %v", c.link, l.URLs, l.Warnings)
		}
	}
	for _, opaque := range []string{"https://protect-eu.mimecast.com/s/AbCd?domain=evil.example", "https://bit.ly/abc", "https://www.google.com/url?q=javascript:x"} {
		if w := Text(opaque).Wanted(); len(w) != 1 || !strings.HasPrefix(w[0].URL, opaque[:14]) {
			t.Errorf("%s: read %+v", opaque, w)
		}
	}
}
