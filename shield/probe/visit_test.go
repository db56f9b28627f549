package probe

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/shield/capture"
)

// A laboratory: suspect pages are on 127.0.0.1, what must never be reached on
// 127.0.0.3. Only the first is allowed.
type lab struct {
	*Probe
	names map[string][]string // what names lead to; the last answer stays
	asked map[string]int
	bad   net.Listener
	hits  atomic.Int64
}

func newLab(t *testing.T) *lab {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Browser = "off"
	cfg.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	l := &lab{names: map[string][]string{}, asked: map[string]int{}}
	l.Probe = New(cfg, With{Dir: t.TempDir(), Clock: clock.New(), Log: slog.New(slog.DiscardHandler)})
	l.pace = newPace(0, 0)
	for _, o := range l.outs {
		o.resolve = func(_ context.Context, name string) ([]netip.Addr, error) {
			answers := l.names[name]
			if len(answers) == 0 {
				return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
			}
			n := min(l.asked[name], len(answers)-1)
			l.asked[name]++
			var out []netip.Addr
			for a := range strings.SplitSeq(answers[n], ",") {
				out = append(out, netip.MustParseAddr(a))
			}
			return out, nil
		}
	}
	bad, err := net.Listen("tcp", "127.0.0.3:0")
	if err != nil {
		t.Skip("this system has one loopback address only: ", err)
	}
	l.bad = bad
	t.Cleanup(func() { bad.Close() })
	go func() {
		for {
			c, err := bad.Accept()
			if err != nil {
				return
			}
			l.hits.Add(1)
			c.Close()
		}
	}()
	return l
}

func (l *lab) look(t *testing.T, at string) *capture.Bundle {
	t.Helper()
	b := l.visit(t.Context(), at, As{capture.Desktop, bolwerk.NL}, nil)
	enc, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := capture.Decode(enc); err != nil {
		t.Fatalf("%s: what was made cannot be read: %v", at, err)
	}
	if n := l.hits.Load(); n != 0 {
		t.Fatalf("%s: a forbidden address was reached %d times", at, n)
	}
	return b
}

// raw is a site that answers each connection as f does.
func raw(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); f(c) }()
		}
	}()
	return "http://" + l.Addr().String()
}

func says(text string) func(net.Conn) {
	return func(c net.Conn) {
		c.Read(make([]byte, 4096))
		io.WriteString(c, text)
	}
}

func TestAVisitSeesWhatAVisitorSees(t *testing.T) {
	l := newLab(t)
	var got []*http.Request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r)
		switch r.URL.Path {
		case "/":
			http.SetCookie(w, &http.Cookie{Name: "seen", Value: "1"})
			http.Redirect(w, r, "http://user:pass@b.example:"+r.Host[strings.LastIndex(r.Host, ":")+1:]+"/login?x=1#top", http.StatusFound)
		case "/login":
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			io.WriteString(w, `<!doctype html><title>Log in</title><link rel="shortcut icon" href=i.png><link rel=stylesheet href=s.css><script src="/j.js"></script><form action=/x><input type=password></form><iframe src=frame.html></iframe>`)
		case "/j.js":
			io.WriteString(w, "var a = 1;")
		case "/s.css":
			io.WriteString(w, "a{}")
		case "/i.png":
			w.Header().Set("Content-Type", "image/png")
			io.WriteString(w, "\x89PNG")
		case "/frame.html":
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "<p>in the frame")
		default:
			http.NotFound(w, r)
		}
	}))
	defer s.Close()
	u, _ := url.Parse(s.URL)
	l.names["a.example"], l.names["b.example"] = []string{"127.0.0.1"}, []string{"127.0.0.1,127.0.0.3"}
	b := l.look(t, "http://a.example:"+u.Port()+"/")
	if b.Failed != "" || len(b.Hops) != 2 || b.Final() != "http://b.example:"+u.Port()+"/login?x=1" || b.Hops[1].Via != "http_3xx" || b.Hops[1].Address != "127.0.0.1" {
		t.Fatalf("%+v", b.Capture)
	}
	var kinds []capture.Kind
	for _, p := range b.Parts {
		kinds = append(kinds, p.Kind)
	}
	if want := []capture.Kind{capture.HTML, capture.Icon, capture.Script, capture.Style, capture.Frame}; !slices.Equal(kinds, want) || len(b.Cut) != 0 {
		t.Errorf("parts %v, cut %q", kinds, b.Cut)
	}
	for _, r := range got {
		if r.Method != http.MethodGet || !strings.Contains(r.UserAgent(), "Windows") || !strings.HasPrefix(r.Header.Get("Accept-Language"), "nl-BE") || r.Header.Get("Authorization") != "" {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
	}
	got = nil
	b = l.visit(t.Context(), "http://a.example:"+u.Port()+"/", As{capture.Phone, bolwerk.FR}, nil)
	if r := got[0]; !strings.Contains(r.UserAgent(), "Mobile") || !strings.HasPrefix(r.Header.Get("Accept-Language"), "fr-BE") || r.Header.Get("Cookie") != "" {
		t.Errorf("phone: %v", r.Header)
	}
	if b.Profile != capture.Phone || b.Lang != bolwerk.FR {
		t.Errorf("%+v", b.Capture)
	}
}

func TestWaysAPageLeadsOn(t *testing.T) {
	l := newLab(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch r.URL.Path {
		case "/header":
			w.Header().Set("Refresh", "0; URL='/meta'")
		case "/meta":
			io.WriteString(w, `<meta HTTP-EQUIV=Refresh content="1;url=js">`)
		case "/js":
			io.WriteString(w, `<script>setTimeout(function(){ window.location.href = "replace" })</script>`)
		case "/replace":
			io.WriteString(w, `<script>top.location.replace('/end')</script>`)
		case "/end":
			io.WriteString(w, `<script>var x = mylocation = "/no"; document.location == "/no"</script><meta http-equiv=refresh content="600; url=/no"><form><input></form><script>location="/no"</script>`)
		}
	}))
	defer s.Close()
	b := l.look(t, s.URL+"/header")
	var via []string
	for _, h := range b.Hops {
		via = append(via, h.Via)
	}
	if want := []string{"asked", "refresh", "meta", "js", "js"}; !slices.Equal(via, want) || !strings.HasSuffix(b.Final(), "/end") || b.Failed != "" {
		t.Errorf("%v to %s, %q", via, b.Final(), b.Failed)
	}
}

// Everything here would lead inside, and nothing does.
func TestNothingLeadsInside(t *testing.T) {
	l := newLab(t)
	port := l.bad.Addr().(*net.TCPAddr).Port
	l.names["inside.example"] = []string{"127.0.0.3"}
	l.names["rebind.example"] = []string{"127.0.0.1", "127.0.0.3"}
	l.names["mapped.example"] = []string{"::ffff:127.0.0.3"}
	l.names["nat64.example"] = []string{"64:ff9b::7f00:3"}
	for _, host := range []string{"127.0.0.3", "127.3", "0x7f.0.0.3", "0177.0.0.3", "2130706435", "0x7f000003", "[::ffff:127.0.0.3]", "[64:ff9b::7f00:3]", "[2002:7f00:3::]", "[::127.0.0.3]",
		"inside.example", "mapped.example", "nat64.example", "１２７.0.0.3", "127。0。0。3", "a@127.0.0.3", "b.example@127.0.0.3", "169.254.169.254", "[fd00:ec2::254]", "[::1%25eth0]", "0.0.0.0", "localhost.", "10.0.0.1"} {
		l.names["localhost"] = []string{"127.0.0.3"}
		at := fmt.Sprintf("http://%s:%d/", host, port)
		if b := l.look(t, at); b.Failed != refused && b.Failed != notHTTP || len(b.Hops) != 0 {
			t.Errorf("%s: %q %q", host, b.Failed, b.Detail)
		}
		// The same as a redirect, as a part and by a page.
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/3xx":
				w.Header().Set("Location", at)
				w.WriteHeader(http.StatusFound)
			case "/meta":
				w.Header().Set("Content-Type", "text/html")
				fmt.Fprintf(w, `<meta http-equiv=refresh content="0;url=%s">`, at)
			default:
				w.Header().Set("Content-Type", "text/html")
				fmt.Fprintf(w, `<base href="%s"><script src="a.js"></script><link rel=icon href="//%s:%d/i"><iframe src="\\%s:%d/">`, at, host, port, host, port)
			}
		}))
		for _, path := range []string{"/3xx", "/meta"} {
			if b := l.look(t, s.URL+path); b.Failed != refused && b.Failed != notHTTP || len(b.Hops) != 1 {
				t.Errorf("%s by %s: %q %q, %d hops", host, path, b.Failed, b.Detail, len(b.Hops))
			}
		}
		if b := l.look(t, s.URL+"/parts"); b.Failed != "" || slices.ContainsFunc(b.Parts, func(p capture.Part) bool { return !strings.HasPrefix(p.URL, s.URL) }) {
			t.Errorf("%s in a page: %q, parts %+v", host, b.Failed, b.Parts)
		}
		s.Close()
	}
	// A name that leads somewhere else when it is asked again.
	var hits atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		w.Header().Set("Connection", "close")
		http.Redirect(w, r, fmt.Sprintf("http://rebind.example:%d/x", port), http.StatusFound)
	}))
	defer s.Close()
	u, _ := url.Parse(s.URL)
	b := l.look(t, "http://rebind.example:"+u.Port()+"/")
	if b.Failed != refused || hits.Load() != 1 {
		t.Errorf("rebinding: %q after %d requests", b.Failed, hits.Load())
	}
}

func TestNoOtherProtocol(t *testing.T) {
	l := newLab(t)
	for _, at := range []string{"file:///etc/passwd", "gopher://127.0.0.3/x", "data:text/html,hi", "javascript:alert(1)", "ftp://a.example/", "about:blank", "//a.example/", "http:", "http://", "http:///x", "http://[", "http://a.example:99999/", "http://a.example:25/", "http://a.example:22/", "\x00", "http://a b/", "http://256.1.1.1/", "http://1.2.3.4.5/", "http://0xg.1/", "http://a.example%2f@b/"} {
		if b := l.look(t, at); b.Failed == "" || b.Failed == connectFailed || len(b.Hops) > 0 {
			t.Errorf("%q: %q", at, b.Failed)
		}
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Location"] = []string{at}
			w.WriteHeader(http.StatusMovedPermanently)
		}))
		if b := l.look(t, s.URL); strings.Contains(at, ":/") && b.Failed == "" {
			t.Errorf("redirect to %q: %q", at, b.Failed)
		}
		s.Close()
	}
}

func packed(t *testing.T, how string, zeros int) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch how {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	case "bare":
		w, _ = flate.NewWriter(&b, 9)
	case "br":
		w = brotli.NewWriterLevel(&b, 5)
	case "zstd":
		w, _ = zstd.NewWriter(&b)
	}
	io.WriteString(w, "<title>packed</title>")
	chunk := make([]byte, 1<<20)
	for n := 0; n < zeros; n += len(chunk) {
		w.Write(chunk)
	}
	w.Close()
	return b.Bytes()
}

func TestPackedBodies(t *testing.T) {
	l := newLab(t)
	for how, name := range map[string]string{"gzip": "gzip", "deflate": "deflate", "bare": "deflate", "br": "br", "zstd": "zstd"} {
		for _, zeros := range []int{0, 256 << 20} {
			if testing.Short() && zeros > 0 && how != "gzip" {
				continue
			}
			body := packed(t, how, zeros)
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Encoding", name)
				w.Header().Set("Content-Type", "text/html")
				w.Write(body)
			}))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			b := l.look(t, s.URL)
			runtime.ReadMemStats(&after)
			s.Close()
			if page := b.Of(capture.HTML); !bytes.HasPrefix(page, []byte("<title>packed")) || len(page) > capture.MaxPart || b.Parts[0].Cut != (zeros > 0) {
				t.Errorf("%s of %d: %q, %d octets, cut %v", how, zeros, b.Failed, len(page), len(b.Parts) > 0 && b.Parts[0].Cut)
			}
			if more := after.TotalAlloc - before.TotalAlloc; more > 100<<20 {
				t.Errorf("%s of %d took %d octets of memory", how, zeros, more)
			}
		}
	}
	twice := func(b []byte) []byte {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		w.Write(b)
		w.Close()
		return out.Bytes()
	}
	inner := packed(t, "gzip", 64<<20)
	for enc, body := range map[string][]byte{"gzip, gzip": twice(inner), "gzip, gzip, gzip": twice(twice(inner)), "gzip": []byte("this is no gzip at all"), "compress": inner, "identity, gzip": inner} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", enc)
			w.Header().Set("Content-Type", "text/html")
			w.Write(body)
		}))
		if b := l.look(t, s.URL); (b.Failed == "") != (enc == "gzip, gzip" || enc == "identity, gzip") || len(b.Hops) != 1 {
			t.Errorf("%s: %q", enc, b.Failed)
		}
		s.Close()
	}
}

// What a hostile server can do with the protocol ends soon and small.
func TestHostileServers(t *testing.T) {
	html := "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
	many := func(line string, n int) string { return strings.Repeat(line, n) }
	for name, c := range map[string]struct {
		site func(net.Conn)
		want string
		page string
	}{
		"garbage":             {says("SSH-2.0-OpenSSH_9.2\r\n"), notHTTP, ""},
		"nothing":             {says(""), notHTTP, ""},
		"huge header":         {says(html + "X: " + many("x", 1<<20) + "\r\n\r\n"), notHTTP, ""},
		"many headers":        {says(html + many("X-A: b\r\n", 100_000) + "\r\n"), notHTTP, ""},
		"10,000 cookies":      {says(html + many("Set-Cookie: a=b\r\n", 10_000) + "\r\n"), notHTTP, ""},
		"2,000 cookies":       {says(html + many("Set-Cookie: a=b\r\n", 2000) + "Content-Length: 2\r\n\r\nhi"), "", "hi"},
		"100-continue":        {says("HTTP/1.1 100 Continue\r\n\r\n" + html + "Content-Length: 2\r\n\r\nhi"), "", "hi"},
		"endless 1xx":         {says(many("HTTP/1.1 102 Processing\r\n\r\n", 100_000)), notHTTP, ""},
		"101":                 {says("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), "", ""},
		"304":                 {says("HTTP/1.1 304 Not Modified\r\nLocation: /x\r\n\r\n"), "", ""},
		"too short":           {says(html + "Content-Length: 100\r\n\r\nhi"), "", "hi"},
		"too long":            {says(html + "Content-Length: 2\r\n\r\nhi there, more"), "", "hi"},
		"two lengths":         {says(html + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi"), notHTTP, ""},
		"negative length":     {says(html + "Content-Length: -2\r\n\r\nhi"), notHTTP, ""},
		"bad chunk":           {says(html + "Transfer-Encoding: chunked\r\n\r\nzz\r\nhi"), notHTTP, ""},
		"chunk larger than 2": {says(html + "Transfer-Encoding: chunked\r\n\r\nffffffffffff\r\nhi"), "", "hi"},
		"status 999":          {says("HTTP/1.1 999 No\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi"), "", "hi"},
		"no type":             {says("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"), "", "<html>"},
		"an archive":          {says("HTTP/1.1 200 OK\r\nContent-Type: application/zip\r\nContent-Length: 2\r\n\r\nPK"), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			b := l.look(t, raw(t, c.site))
			if b.Failed != c.want || string(b.Of(capture.HTML)) != c.page {
				t.Errorf("%q (%s), page %q", b.Failed, b.Detail, b.Of(capture.HTML))
			}
		})
	}
}

// A site that is slow is left after the time that a visit has.
func TestSlowServers(t *testing.T) {
	drip := func(head string) func(net.Conn) {
		return func(c net.Conn) {
			c.Read(make([]byte, 4096))
			io.WriteString(c, head)
			for {
				time.Sleep(20 * time.Millisecond)
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
			}
		}
	}
	for name, site := range map[string]func(net.Conn){
		"silent":      func(c net.Conn) { io.Copy(io.Discard, c) },
		"slow header": drip("HTTP/1.1 200 OK\r\nX: "),
		"slow body":   drip("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.inAll = 300 * time.Millisecond
			b := l.look(t, raw(t, site))
			if name == "slow body" && (b.Failed != "" || !b.Parts[0].Cut) || name != "slow body" && b.Failed != timedOut {
				t.Errorf("%q: %s", b.Failed, b.Detail)
			}
		})
	}
	l := newLab(t)
	endless := raw(t, func(c net.Conn) {
		c.Read(make([]byte, 4096))
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
		for chunk := bytes.Repeat([]byte("<p>"), 1<<14); ; {
			if _, err := c.Write(chunk); err != nil {
				return
			}
		}
	})
	if b := l.look(t, endless); b.Failed != "" || len(b.Of(capture.HTML)) != capture.MaxPart || !b.Parts[0].Cut {
		t.Errorf("endless: %q, %d octets", b.Failed, len(b.Of(capture.HTML)))
	}
}

func TestRedirectsEnd(t *testing.T) {
	l := newLab(t)
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		switch r.URL.Path {
		case "/self":
			http.Redirect(w, r, "/self", http.StatusFound)
		case "/long":
			w.Header().Set("Location", "/"+strings.Repeat("x", 9000))
			w.WriteHeader(http.StatusFound)
		default:
			http.Redirect(w, r, fmt.Sprintf("/%d", n), http.StatusSeeOther)
		}
	}))
	defer s.Close()
	for path, want := range map[string]string{"/self": looped, "/go": tooManyHops, "/long": notHTTP} {
		if b := l.look(t, s.URL+path); b.Failed != want || len(b.Hops) > capture.MaxHops+1 {
			t.Errorf("%s: %q after %d hops", path, b.Failed, len(b.Hops))
		}
	}
}

// A certificate that a browser would not believe is told, and the page looked at.
func TestTLS(t *testing.T) {
	l := newLab(t)
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "hello")
	}))
	s.Config.ErrorLog = nil
	defer s.Close()
	b := l.look(t, s.URL)
	if h := b.Hops[0]; b.Failed != "" || !strings.Contains(h.TLS, "unknown authority") || len(h.Names) == 0 || h.NotBefore.IsZero() || h.Issuer == "" {
		t.Errorf("%q %+v", b.Failed, h)
	}
	l.roots = s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	if b := l.look(t, s.URL); b.Hops[0].TLS != "" {
		t.Errorf("believed: %q", b.Hops[0].TLS)
	}
	for name, site := range map[string]func(net.Conn){
		"plain":   says("HTTP/1.1 200 OK\r\n\r\n"),
		"garbage": says("\x16\x03\x01\xff\xff" + strings.Repeat("\xff", 70000)),
		"alert":   says("\x15\x03\x03\x00\x02\x02\x28"),
	} {
		at := strings.Replace(raw(t, site), "http:", "https:", 1)
		if b := l.look(t, at); b.Failed != tlsFailed {
			t.Errorf("%s: %q %s", name, b.Failed, b.Detail)
		}
	}
	old := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS10, MinVersion: tls.VersionTLS10}
	old.StartTLS()
	defer old.Close()
	if b := l.look(t, old.URL); b.Failed != "" {
		t.Errorf("TLS 1.0: %q %s", b.Failed, b.Detail)
	}
}

func TestWhatIsNeverAskedFor(t *testing.T) {
	brand := map[string]bool{"bank.example": true}
	for at, want := range map[string]bool{
		"https://news.example/unsubscribe?u=1":                              true,
		"https://news.example/nl/uitschrijven":                              true,
		"https://x.example/?action=opt-out":                                 true,
		"https://phish.example/confirm":                                     false,
		"https://phish.example/bevestig-uw-gegevens":                        false,
		"https://mail.example/confirm?t=9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c":   true,
		"https://mijn.bank.example/brief/9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c":  true,
		"https://bank.example/?mail=jan@provider.example":                   true,
		"https://bank.example/nl/particulier":                               false,
		"https://notbank.example/a/9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c":        false,
		"https://bank.example.phish.example/9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b": false,
	} {
		u, _ := url.Parse(at)
		if got := Never(u, brandOf(u.Hostname(), brand)) != ""; got != want {
			t.Errorf("%s: %v", at, got)
		}
	}
	for s, want := range map[string]bool{"uw-pakket-is-onderweg-2026-11-26": false, "merelbank-verificatie12": false, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9": true, "a1b2c3d4e5f6a7b8": true, "1111111111111111": false} {
		if opaque(s) != want {
			t.Errorf("opaque(%q) is %v", s, !want)
		}
	}
}

func TestOneRequestASecondToAHost(t *testing.T) {
	p := newPace(100*time.Millisecond, 0)
	start := time.Now()
	for range 3 {
		p.wait(t.Context(), "a")
		p.wait(t.Context(), "b")
	}
	if d := time.Since(start); d < 200*time.Millisecond {
		t.Errorf("three to each in %v", d)
	}
	p = newPace(0, 50*time.Millisecond)
	start = time.Now()
	for i := range 4 {
		p.wait(t.Context(), fmt.Sprint(i))
	}
	if d := time.Since(start); d < 150*time.Millisecond {
		t.Errorf("four in all in %v", d)
	}
}

func FuzzPlace(f *testing.F) {
	for _, s := range []string{"http://a.example/", "HTTP://0x7f.1:80/x?y#z", "https://[::ffff:1.2.3.4]:443", "http://１２７.1/", "http:\\\\a\\b", "http://user@h/", "//x", "http://1.2.3"} {
		f.Add(s, "../x")
	}
	f.Fuzz(func(t *testing.T, at, ref string) {
		p, err := parsePlace(at)
		if err != nil {
			return
		}
		again, err := parsePlace(p.String())
		if err != nil || again.host() != p.host() || again.port != p.port {
			t.Errorf("%q is %q, and that is %q, %v", at, p, again, err)
		}
		if (p.name == "") == !p.addr.IsValid() {
			t.Errorf("%q: name %q, address %v", at, p.name, p.addr)
		}
		if q, err := p.join(ref); err == nil && q.u.User != nil {
			t.Errorf("%q + %q has a user", at, ref)
		}
	})
}

func FuzzLinks(f *testing.F) {
	f.Add([]byte(`<base href=//b/><meta http-equiv=refresh content="0;url='x'"><script src=a></script><script>location='b'</script><link rel="icon" href=c><iframe src=d>`))
	f.Add([]byte(`<base href="//b/` + strings.Repeat("\xa3", 4000) + `"><script src=a></script>`)) // escapes make an address longer
	f.Fuzz(func(t *testing.T, page []byte) {
		base, _ := parsePlace("http://a.example/")
		l := linksOf(base, page)
		if len(l.refs) > maxRefs {
			t.Errorf("%d references", len(l.refs))
		}
		for _, r := range l.refs {
			if _, err := parsePlace(r.url); err != nil {
				t.Errorf("%q: %v", r.url, err)
			}
		}
	})
}

func FuzzBody(f *testing.F) {
	f.Add("gzip", []byte("\x1f\x8b\x08"))
	f.Add("br, zstd", []byte("x"))
	f.Fuzz(func(t *testing.T, enc string, b []byte) {
		if data, _, _ := readBody(bytes.NewReader(b), enc, 1000); len(data) > 1000 {
			t.Errorf("%d octets", len(data))
		}
	})
}
