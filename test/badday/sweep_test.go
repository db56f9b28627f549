package badday

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"image/png"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/smtp"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"github.com/miekg/dns"

	"bolwerk/shield/edge"
	"bolwerk/test/live"
)

// planted are what identifies people in the story, and what they wrote: none of
// it may be anywhere in the clear. The name of the case is no secret.
var planted = map[string]string{
	"address of the reporter":   "qzreporter@qzplanted.example",
	"name of the reporter":      "Quirin Qzauber",
	"a header of the mail":      "qzheader-4711",
	"Message-ID of the mail":    "qzmessage-4711@qzplanted.example",
	"subject of the mail":       "qzsubject 4711",
	"text of the mail":          "qzbody 4711",
	"address in a header":       "198.51.100.241",
	"query of the reported URL": "qzquery-4711",
	"address typed on the web":  "qzweb@qzplanted.example",
	"text of an SMS":            "qzsms 4711",
	"query in a screenshot":     "qzshot-4711",
	"note in a screenshot":      "qzplace 4711",
	"User-Agent":                "qzagent-4711",
	"what a visitor asked for":  "qzcard-4711",
	"path that a visitor took":  "qzpath-4711",
	"contact of an appeal":      "qzcontact@qzplanted.example",
	"text of an appeal":         "qzappeal 4711",
	"contact of a web appeal":   "qzwebcontact@qzplanted.example",
	"text of a web appeal":      "qzwebappeal 4711",
	"client address":            "127.201.202.203",
}

// forms are the ways in which a text may lie in a file: as it is, in base64 at
// each of three places, in hexadecimal, in a URL.
func forms(s string) (all [][]byte) {
	add := func(b string) { all = append(all, []byte(strings.ToLower(b))) }
	add(s)
	add(hex.EncodeToString([]byte(s)))
	add(url.QueryEscape(s))
	for skip := range 3 {
		b := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", skip) + s))
		add(b[(skip*8+5)/6 : len(b)-4]) // without what its neighbours change
	}
	return all
}

// screenshot is a picture with a QR code that names somebody, and with what a
// telephone notes in its pictures.
func screenshot(t *testing.T, p map[string]string) []byte {
	t.Helper()
	code, err := qrcode.NewQRCodeWriter().Encode("http://planted-case.example/login?id="+p["query in a screenshot"], gozxing.BarcodeFormat_QR_CODE, 300, 300, nil)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, code); err != nil {
		t.Fatal(err)
	}
	note := []byte("tEXtComment\x00" + p["note in a screenshot"])
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(note)-4))
	chunk = binary.BigEndian.AppendUint32(append(chunk, note...), crc32.ChecksumIEEE(note))
	const head = 8 + 4 + 4 + 13 + 4 // signature and IHDR
	return slices.Concat(b.Bytes()[:head], chunk, b.Bytes()[head:])
}

// sweep looks for planted texts.
func sweep(t *testing.T, where string, content []byte, what map[string]string) {
	t.Helper()
	low := bytes.ToLower(content)
	for name, text := range what {
		for i, f := range forms(text) {
			if at := bytes.Index(low, f); at >= 0 {
				t.Errorf("%s holds the %s (form %d): %q", where, name, i, content[max(0, at-60):min(len(content), at+60)])
				break
			}
		}
	}
}

func TestForms(t *testing.T) {
	for skip := range 3 {
		b := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("y", skip) + "qzreporter@qzplanted.example" + " and more"))
		found := false
		for _, f := range forms("qzreporter@qzplanted.example") {
			found = found || strings.Contains(strings.ToLower(b), string(f))
		}
		if !found {
			t.Errorf("base64 at place %d is not found", skip)
		}
	}
}

// everywhere looks for planted texts in all files of a site, but the mails themselves.
func everywhere(t *testing.T, s *live.Site, when string, what map[string]string) (files, octets int) {
	t.Helper()
	err := filepath.WalkDir(s.Dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && !os.IsNotExist(err):
			return err
		case err != nil:
			return nil
		case path == filepath.Join(s.Data("desk"), "outbox"):
			return fs.SkipDir // the mails themselves, on their way to the relay
		case !d.Type().IsRegular():
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		rel, _ := filepath.Rel(s.Dir, path)
		files++
		octets += len(b)
		sweep(t, when+": "+rel, b, what)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return files, octets
}

func TestNothingOfAPersonLiesAround(t *testing.T) {
	long(t)
	t.Parallel()
	s := live.Apart(t, "", "", nil)
	s.Found()
	p := maps.Clone(planted)
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(p["client address"])}, Timeout: 5 * time.Second}
	var direct string // where a browser is that believes what DNS says
	browser := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if direct != "" {
			addr = direct
		}
		return from.DialContext(ctx, network, addr)
	}, DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	get := func(method, url, kind, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("User-Agent", p["User-Agent"])
		if kind != "" {
			req.Header.Set("Content-Type", kind)
		}
		res, err := browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res.StatusCode, res.Header.Get("Location") + "\n" + string(b)
	}
	const form = "application/x-www-form-urlencoded"

	// A mail, a link and an SMS come in from the planted client.
	raw := fmt.Sprintf("From: %s <%s>\r\nTo: <%s>\r\nSubject: Fwd: %s\r\nMessage-ID: <%s>\r\nX-Planted: %s\r\nX-Originating-IP: [%s]\r\n\r\n%s\r\n\r\n"+
		"---------- Forwarded message ---------\r\nFrom: Bank <no-reply@bank.example>\r\nSubject: your card\r\n\r\nGo to http://planted-case.example/login?id=%s now.\r\n",
		p["name of the reporter"], p["address of the reporter"], live.ReportTo, p["subject of the mail"], p["Message-ID of the mail"], p["a header of the mail"],
		p["address in a header"], p["text of the mail"], p["query of the reported URL"])
	conn, err := from.Dial("tcp", s.SMTP)
	if err != nil {
		t.Fatal(err)
	}
	c, err := smtp.NewClient(conn, "mx.bolwerk.example")
	if err != nil {
		t.Fatal(err)
	}
	w, err := c, c.Mail(p["address of the reporter"])
	if err == nil {
		err = w.Rcpt(live.ReportTo)
	}
	var body io.WriteCloser
	if err == nil {
		body, err = w.Data()
	}
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(body, raw)
	if err := body.Close(); err != nil {
		t.Fatal(err)
	}
	c.Quit()
	var receipts []string
	for _, in := range []map[string]any{
		{"picture": screenshot(t, p), "reply_to": p["address typed on the web"]},
		{"url": "http://planted-case.example/" + "login?id=" + p["query of the reported URL"], "reply_to": p["address typed on the web"]},
		{"text": p["text of an SMS"] + " http://planted-case.example/login", "reply_to": p["address typed on the web"]},
	} {
		b, _ := json.Marshal(in)
		status, text := get("POST", s.Public+"/api/v1/reports", "application/json", string(b))
		var out struct{ Receipt string }
		_, answer, _ := strings.Cut(text, "\n")
		if json.Unmarshal([]byte(answer), &out); status != 201 || out.Receipt == "" {
			t.Fatalf("report: %d %s", status, text)
		}
		receipts = append(receipts, out.Receipt)
		p["receipt "+fmt.Sprint(len(receipts))] = out.Receipt
	}
	for _, r := range receipts {
		until(t, "report read", 20*time.Second, func() (bool, error) {
			status, text := get("GET", s.Public+"/r/"+r, "", "")
			state, err := s.Receipt(r)
			return status == 200 && !strings.Contains(text, "error") && state != "received", err
		})
	}

	// The case is decided, the reporter is told.
	block(t, s, "planted-case.example")
	blocked(t, s, "planted-case.example", true)
	until(t, "what stands in the screenshot", 60*time.Second, func() (bool, error) {
		state, err := s.Receipt(receipts[0])
		return state == "blocked", err
	})
	outbox := filepath.Join(s.Data("desk"), "outbox")
	until(t, "the answer", 30*time.Second, func() (bool, error) {
		mails, err := filepath.Glob(filepath.Join(outbox, "*.eml"))
		if err != nil || len(mails) == 0 {
			return false, err
		}
		b, err := os.ReadFile(mails[0])
		for _, code := range regexp.MustCompile(`/r/([0-9a-z]{20,})`).FindAllSubmatch(b, -1) {
			p["receipt of the mail"] = string(code[1])
		}
		return strings.Contains(string(b), p["address of the reporter"]), err
	})

	// A customer is stopped, asks what he should not have, and appeals.
	m := new(dns.Msg).SetQuestion("planted-case.example.", dns.TypeA)
	if _, _, err := (&dns.Client{Dialer: &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(p["client address"])}}, Timeout: 3 * time.Second}).Exchange(m, s.DNS); err != nil {
		t.Fatal(err)
	}
	direct = s.Warning
	if status, text := get("GET", "http://planted-case.example/"+p["path that a visitor took"]+"?card="+p["what a visitor asked for"], "", ""); status != 200 || strings.Contains(text, p["what a visitor asked for"]) {
		t.Errorf("the warning page: %d", status)
	}
	status, text := get("POST", "http://planted-case.example"+edge.AppealPath, form,
		url.Values{"role": {"owner"}, "text": {p["text of an appeal"]}, "contact": {p["contact of an appeal"]}}.Encode())
	if status != 201 {
		t.Errorf("an appeal at the warning page: %d %.500s", status, text)
	}
	direct = ""
	until(t, "the public list", 10*time.Second, func() (bool, error) {
		var name struct{ Listed bool }
		_, err := s.Call("GET", s.Public+"/api/v1/names/planted-case.example", "", nil, &name)
		return name.Listed, err
	})
	if status, text := get("POST", s.Public+"/appeal", form, url.Values{"name": {"planted-case.example"}, "role": {"owner"}, "text": {p["text of a web appeal"]},
		"contact": {p["contact of a web appeal"]}}.Encode()); status != 303 && status != 200 && status != 201 {
		t.Errorf("an appeal at the public site: %d %.500s", status, text)
	}
	// Doors that are shut write logs too.
	get("GET", s.Public+"/"+p["path that a visitor took"]+"?"+p["what a visitor asked for"], "", "")
	get("GET", s.Console+"/"+p["path that a visitor took"], "", "")
	get("POST", s.Console+"/login", form, url.Values{"login": {p["address of the reporter"]}, "password": {p["text of the mail"]}}.Encode())
	get("GET", s.Public+"/r/"+strings.Repeat("7", 26), "", "")
	until(t, "appeals at the desk", 20*time.Second, func() (bool, error) {
		var page struct{ Items []any }
		_, err := s.Call("GET", s.Console+"/api/v1/appeals", "", nil, &page)
		return len(page.Items) >= 1, err
	})
	if p["receipt of the mail"] == "" {
		t.Error("the answer names no receipt")
	}

	// Nothing of it lies around: not while it runs, not in the backup, not after.
	backup := filepath.Join(s.Dir, "backup.db")
	s.MustRun("backup", backup, "--config", filepath.Join(s.Dir, "desk.toml"))
	for role, addr := range s.Metrics {
		_, text := get("GET", "http://"+addr+"/metrics", "", "")
		if !strings.Contains(text, "bolwerk_") {
			t.Errorf("no metrics of %s", role)
		}
		sweep(t, "metrics of "+role, []byte(text), p)
	}
	files, octets := 0, 0
	walk := func(when string) {
		t.Helper()
		n, size := everywhere(t, s, when, p)
		files, octets = files+n, octets+size
	}
	walk("running")
	for _, role := range []string{"desk", "intake", "edge"} {
		if err := s.Stop(role); err != nil {
			t.Error(err)
		}
	}
	walk("stopped")
	t.Logf("%d texts, %d files, %d MiB", len(p), files, octets>>20)
}
