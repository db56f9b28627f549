package unwrap

import (
	"strings"
)

// wrapper is one company's way of writing an address into its own.
type wrapper struct {
	name string
	// hosts are exact; one that begins with a dot is everything below it.
	hosts []string
	// find are tried in turn; "" is "not this form".
	find []func(link) string
}

// in takes the address from a query parameter, at any path.
func in(names ...string) func(link) string { return at("", names...) }

// at does so where the path is the one given, or below it where it ends in a slash.
func at(path string, names ...string) func(link) string {
	return func(l link) string {
		if path != "" && l.path != path && (!strings.HasSuffix(path, "/") || !strings.HasPrefix(l.path, path)) {
			return ""
		}
		for _, n := range names {
			if v := l.param(n); v != "" {
				return v
			}
		}
		return ""
	}
}

// wrappers, those of mail filters first. Each form is known from mails or from
// its maker's description; what is not sure is not here.
var wrappers = []wrapper{
	{"safelinks", []string{".safelinks.protection.outlook.com", ".safelinks.protection.office365.us", "safelinks.protection.office365.us", ".safelinks.protection.outlook.cn"},
		[]func(link) string{safelinks}},
	{"safelinks", []string{"statics.teams.cdn.office.net", "statics.teams.microsoft.com"}, []func(link) string{func(l link) string {
		if strings.Contains(l.path, "/safelinks/") {
			return l.param("url")
		}
		return ""
	}}},
	{"proofpoint", []string{"urldefense.proofpoint.com", "urldefense.com", "urldefense.us"}, []func(link) string{at("/v1/url", "u"), proofpoint2, proofpoint3}},
	{"barracuda", []string{"linkprotect.cudasvc.com"}, []func(link) string{at("/url", "a")}},
	{"cisco", []string{"secure-web.cisco.com"}, []func(link) string{inPath, in("url")}},
	{"sophos", []string{".protection.sophos.com"}, []func(link) string{sophos}},
	{"trendmicro", []string{".ctp.trendmicro.com", "imsva91-ctp.trendmicro.com", "tmemsctp.trendmicro.com"}, []func(link) string{in("url", "u")}},
	{"trendmicro", []string{".trendmicro.com"}, []func(link) string{at("/wis/clicktime/v1/query", "url"), at("/wis/clicktime/v2/query", "url")}},
	{"symantec", []string{"clicktime.symantec.com", "clicktime.cloud.postoffice.net"}, []func(link) string{in("u")}},
	{"fireeye", []string{"protect.fireeye.com", "protect2.fireeye.com", "protect2.trellix.com"}, []func(link) string{in("u")}},
	{"esva", []string{"urlsand.esvalabs.com", ".urlsand.com"}, []func(link) string{in("u")}},
	{"titanhq", []string{"linklock.titanhq.com"}, []func(link) string{in("url")}},
	{"checkpoint", []string{"protect.checkpoint.com", "url.avanan.click"}, []func(link) string{underscored}},
	{"edgepilot", []string{"link.edgepilot.com"}, []func(link) string{in("u")}},
	{"trustwave", []string{"scanmail.trustwave.com"}, []func(link) string{in("u")}},

	{"google", []string{"googleweblight.com", "www.googleweblight.com"}, []func(link) string{in("lite_url", "u")}},
	{"google", []string{"www.googleadservices.com", "googleadservices.com", "adclick.g.doubleclick.net", "googleads.g.doubleclick.net", "ad.doubleclick.net"}, []func(link) string{in("adurl")}},
	{"google-translate", []string{"translate.google.com", "translate.googleusercontent.com"}, []func(link) string{in("u")}},
	{"google-translate", []string{".translate.goog"}, []func(link) string{translated}},
	{"amp", []string{".cdn.ampproject.org", "cdn.ampproject.org"}, []func(link) string{ampCache}},
	{"bing", []string{"www.bing.com", "bing.com"}, []func(link) string{bing}},
	{"yahoo", []string{"r.search.yahoo.com"}, []func(link) string{yahoo}},
	{"duckduckgo", []string{"duckduckgo.com", "www.duckduckgo.com"}, []func(link) string{at("/l/", "uddg")}},
	{"facebook", []string{"l.facebook.com", "lm.facebook.com", "www.facebook.com", "m.facebook.com", "l.messenger.com"}, []func(link) string{at("/l.php", "u"), at("/flx/warn/", "u")}},
	{"instagram", []string{"l.instagram.com"}, []func(link) string{in("u")}},
	{"threads", []string{"l.threads.net", "l.threads.com"}, []func(link) string{in("u")}},
	{"whatsapp", []string{"l.wl.co"}, []func(link) string{at("/l", "u")}},
	{"linkedin", []string{"www.linkedin.com", "linkedin.com"}, []func(link) string{at("/redir/redirect", "url"), at("/redir/redirect/", "url"), at("/redir/suspicious-page", "url"), at("/safety/go", "url"), at("/safety/go/", "url")}},
	{"youtube", []string{"www.youtube.com", "youtube.com", "m.youtube.com"}, []func(link) string{at("/redirect", "q")}},
	{"vk", []string{"vk.com", "m.vk.com", "away.vk.com"}, []func(link) string{at("/away.php", "to")}},
	{"reddit", []string{"out.reddit.com"}, []func(link) string{in("url")}},
	{"slack", []string{"slack-redir.net"}, []func(link) string{at("/link", "url")}},
	{"steam", []string{"steamcommunity.com"}, []func(link) string{at("/linkfilter/", "u", "url")}},
	{"tumblr", []string{"t.umblr.com"}, []func(link) string{at("/redirect", "z")}},
	{"pinterest", []string{"www.pinterest.com"}, []func(link) string{at("/offsite/", "url")}},
	{"deref", []string{"deref-gmx.net", "deref-web.de", "deref-mail.com", "deref-gmx.com", "deref-1und1.de"}, []func(link) string{in("redirectUrl")}},
}

var google = wrapper{"google", nil, []func(link) string{at("/url", "q", "url"), googleAMP, at("/imgres", "imgrefurl"), at("/travel/clk", "pcurl")}}

var byHost, bySuffix = func() (hosts, suffixes map[string]wrapper) {
	hosts, suffixes = map[string]wrapper{}, map[string]wrapper{}
	for _, w := range wrappers {
		for _, h := range w.hosts {
			if h[0] == '.' {
				suffixes[h[1:]] = w
			} else {
				hosts[h] = w
			}
		}
	}
	return hosts, suffixes
}()

func wrapperOf(host string) (wrapper, bool) {
	if w, ok := byHost[host]; ok {
		return w, true
	}
	for h := host; ; {
		_, above, ok := strings.Cut(h, ".")
		if !ok {
			break
		}
		if w, ok := bySuffix[above]; ok {
			return w, true
		}
		h = above
	}
	if googleHost(host) {
		return google, true
	}
	return wrapper{}, false
}

// googleHost says that a host is Google's search in one of its countries:
// google.TLD, or google.co.TLD and google.com.TLD, with what Google puts in front.
func googleHost(host string) bool {
	for _, front := range []string{"www.", "maps.", "images.", "plus.", "mail.", "news.", "scholar.", "cse.", "books.", ""} {
		rest, ok := strings.CutPrefix(host, front+"google.")
		if !ok {
			continue
		}
		if rest == "com" || len(rest) == 2 && letters(rest) {
			return true
		}
		middle, tld, ok := strings.Cut(rest, ".")
		return ok && (middle == "co" || middle == "com") && len(tld) == 2 && letters(tld)
	}
	return false
}

func letters(s string) bool { return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == "" }

// safelinks has the address in url=. Programs that encode the whole link once
// more leave the filter's own parameters in it.
func safelinks(l link) string {
	t := l.param("url")
	for _, own := range []string{"&data=0", "&amp;data=0", "&sdata=", "&amp;sdata="} {
		t, _, _ = strings.Cut(t, own)
	}
	return t
}

// sophos has it in base64 in u=; d= repeats its host.
func sophos(l link) string {
	t, ok := fromBase64(l.param("u"))
	if !ok {
		return ""
	}
	return t
}

// inPath is an encoded address as the last segment of a path.
func inPath(l link) string {
	for _, mark := range []string{"/http%3A%2F%2F", "/https%3A%2F%2F", "/http%3a%2f%2f", "/https%3a%2f%2f"} {
		if i := strings.Index(l.rest, mark); i >= 0 {
			t, err := unescape(l.rest[i+1:])
			if err != nil {
				return ""
			}
			return t
		}
	}
	return ""
}

// underscored is an address between three underscores on each side.
func underscored(l link) string {
	if !strings.HasPrefix(l.path, "/v2/___") {
		return ""
	}
	t, _, ok := strings.Cut(strings.TrimPrefix(l.rest, "/v2/___"), "___.")
	if !ok {
		return ""
	}
	return t
}

func googleAMP(l link) string {
	rest, ok := strings.CutPrefix(l.rest, "/amp/")
	if !ok {
		return ""
	}
	return ampPath(rest)
}

// ampPath is "s/host/path" for https and "host/path" for http.
func ampPath(rest string) string {
	scheme := "http://"
	if after, ok := strings.CutPrefix(rest, "s/"); ok {
		scheme, rest = "https://", after
	}
	host, _, _ := strings.Cut(rest, "/")
	if !strings.Contains(host, ".") && !strings.Contains(host, "%2E") {
		return ""
	}
	return scheme + rest
}

// ampCache is /c/s/host/path: c for pages, v for the viewer, wp for packages.
func ampCache(l link) string {
	for _, kind := range []string{"/c/", "/v/", "/wp/"} {
		if rest, ok := strings.CutPrefix(l.rest, kind); ok {
			return ampPath(rest)
		}
	}
	return ""
}

// translated is a host in one label: dots are written "-", hyphens "--".
func translated(l link) string {
	label := strings.TrimSuffix(l.host, ".translate.goog")
	if strings.Contains(label, ".") {
		return ""
	}
	scheme := "https://"
	if l.param("_x_tr_sch") == "http" {
		scheme = "http://"
	}
	return scheme + strings.NewReplacer("--", "-", "-", ".").Replace(label) + l.rest
}

// bing has "a1" and base64 in u=.
func bing(l link) string {
	if !strings.HasPrefix(l.path, "/ck/a") {
		return ""
	}
	rest, ok := strings.CutPrefix(l.param("u"), "a1")
	if !ok {
		return ""
	}
	t, _ := fromBase64(rest)
	return t
}

// yahoo has the address between RU= and the next slash.
func yahoo(l link) string {
	_, rest, ok := strings.Cut(l.rest, "/RU=")
	if !ok {
		return ""
	}
	rest, _, _ = strings.Cut(rest, "/")
	t, _ := unescape(rest)
	return t
}
