package reading

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// corpus skips without BOLWERK_DATA, the folder with real mail that is never
// part of the project.
func corpus(t testing.TB, class string) map[string][]byte {
	t.Helper()
	dir := os.Getenv("BOLWERK_DATA")
	if dir == "" {
		t.Skip("BOLWERK_DATA is not set: the real mails are not read")
	}
	files, _ := filepath.Glob(filepath.Join(dir, "mail", class, "*.eml"))
	if len(files) == 0 {
		t.Skipf("no mails in %s/mail/%s", dir, class)
	}
	mails := map[string][]byte{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		mails[filepath.Base(f)] = b
	}
	return mails
}

// TestCorpus reads every real mail as a reporter would hand it in and as the
// evidence itself, and prints what came of it.
func TestCorpus(t *testing.T) {
	for _, class := range []string{"phish", "ham", "spam", "bounces"} {
		t.Run(class, func(t *testing.T) {
			mails := corpus(t, class)
			kinds := map[Kind]int{}
			warnings := map[string]int{}
			var times []time.Duration
			any, wanted, urls := 0, 0, 0
			for name, raw := range mails {
				begin := time.Now()
				r := Mail(raw, Option{})
				times = append(times, time.Since(begin))
				kinds[r.Kind]++
				urls += len(r.URLs)
				if len(r.URLs) > 0 {
					any++
				}
				if len(r.Wanted()) > 0 {
					wanted++
				} else if testing.Verbose() {
					t.Logf("without: %-28s %-12s %v", name, r.Kind, r.Warnings)
				}
				for _, w := range r.Warnings {
					warnings[w]++
				}
				if e := Mail(raw, Option{Evidence: true}); e.Kind != Plain || e.Inner == nil || e.Outer != nil {
					t.Errorf("%s as evidence: kind %s", name, e.Kind)
				}
			}
			// Checked by hand: the mails without hold no link, or only a picture's,
			// an address of mail, or a PDF.
			if class == "phish" && wanted < len(mails)*82/100 {
				t.Errorf("%d of %d phishing mails with a URL: 266 of 320 were", wanted, len(mails))
			}
			slices.Sort(times)
			t.Logf("%d read, %d with a URL, %d with one that is no noise, %d URLs, kinds %v", len(mails), any, wanted, urls, kinds)
			t.Logf("time per mail: median %v, 95%% %v, worst %v", times[len(times)/2], times[len(times)*95/100], times[len(times)-1])
			for w, n := range warnings {
				t.Logf("%4d x %s", n, w)
			}
		})
	}
}

func BenchmarkMail(b *testing.B) {
	var mails [][]byte
	for _, m := range corpus(b, "phish") {
		mails = append(mails, m)
	}
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		Mail(mails[n%len(mails)], Option{})
		n++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
}

var (
	absolute  = regexp.MustCompile(`()(https?://[A-Za-z0-9.-]+\.[A-Za-z]{2,})`)
	attribute = regexp.MustCompile(`(?i)\s(href|src|action|background)\s*=\s*["']?\s*(https?://[A-Za-z0-9.-]+\.[A-Za-z]{2,})`)
	unseen    = regexp.MustCompile(`(?s)<!--.*?-->|<script.*?</script>|<style.*?</style>`)
)

// naive finds the hosts of absolute URLs in the text parts of a mail with the
// standard library's strict parsers: another opinion, where they have one.
func naive(head textproto.MIMEHeader, body io.Reader, hosts map[string]bool) {
	kind, params, err := mime.ParseMediaType(head.Get("Content-Type"))
	if err != nil {
		kind = "text/plain"
	}
	switch strings.ToLower(head.Get("Content-Transfer-Encoding")) {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	if strings.HasPrefix(kind, "multipart/") && params["boundary"] != "" {
		for parts := multipart.NewReader(body, params["boundary"]); ; {
			p, err := parts.NextRawPart()
			if err != nil {
				return
			}
			naive(p.Header, p, hosts)
		}
	}
	if kind != "text/plain" && kind != "text/html" {
		return
	}
	b, _ := io.ReadAll(body)
	text, pattern := string(b), absolute
	if kind == "text/html" {
		text, pattern = unseen.ReplaceAllString(text, ""), attribute
	}
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		if n, ok := Normalise(m[2]); ok {
			hosts[n.Host] = true
		}
	}
}

// TestCorpusAgainstNaive: every host that a naive reader finds is found here.
func TestCorpusAgainstNaive(t *testing.T) {
	for _, class := range []string{"phish", "ham", "spam"} {
		hosts, missed := 0, 0
		for name, raw := range corpus(t, class) {
			m, err := mail.ReadMessage(bytes.NewReader(raw))
			if err != nil {
				continue
			}
			want := map[string]bool{}
			naive(textproto.MIMEHeader(m.Header), m.Body, want)
			r := Mail(raw, Option{Evidence: true})
			all := ""
			for _, u := range r.URLs {
				all += " " + u.Host + " " + u.URL + " " + strings.ToLower(u.Text)
			}
			for h := range want {
				if hosts++; !strings.Contains(all, h) && !slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.Contains(w, "left out") }) {
					missed++
					t.Logf("%s: %s not found", name, h)
				}
			}
		}
		t.Logf("%s: %d of %d hosts missed", class, missed, hosts)
		if missed*200 > hosts {
			t.Errorf("%s: %d of %d hosts missed, at most one in 200 may be", class, missed, hosts)
		}
	}
}
