package mail

import (
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/emersion/go-msgauth/authres"

	"bolwerk"
)

func TestParseAddress(t *testing.T) {
	for in, want := range map[string]string{
		"Anna@Customer.Example":                "Anna@customer.example",
		"a.b+c@x.example":                      "a.b+c@x.example",
		"zoë@bücher.example":                   "zoë@xn--bcher-kva.example",
		"":                                     "",
		"anna":                                 "",
		"@x.example":                           "",
		"anna@":                                "",
		"a..b@x.example":                       "",
		`"a b"@x.example`:                      "",
		"anna@[192.0.2.1]":                     "",
		"anna@192.0.2.1":                       "",
		"a b@x.example":                        "",
		"a\r\nRCPT:@x.example":                 "",
		"a\u202eb@x.example":                   "",
		"a@x.example>":                         "",
		"a@b@x.example":                        "",
		"anna@x.example\x00":                   "",
		strings.Repeat("a", 65) + "@x.example": "",
	} {
		got, err := ParseAddress(in)
		if (err == nil) != (want != "") || got.String() != want {
			t.Errorf("%q: got %q, %v, want %q", in, got, err, want)
		}
	}
	if got := MustAddress("Anna+shop@Customer.example").Key(); got != "anna@customer.example" {
		t.Errorf("key: got %q", got)
	}
}

func TestProved(t *testing.T) {
	const from = "anna@bank.example"
	for name, c := range map[string]struct {
		results string // topmost field; more behind a line break
		ok      bool
		dkim    string
	}{
		"passed": {"mx.bolwerk.example; dmarc=pass (p=REJECT sp=NONE) header.from=bank.example; " +
			"dkim=pass header.d=bank.example header.s=s1; dkim=pass header.i=@Mailer.example; dkim=fail header.d=evil.example",
			true, "bank.example mailer.example"},
		"folded, other case, a version":         {"MX.Bolwerk.Example 1;\r\n\tDMARC=Pass (ok) header.from=Bank.Example", true, ""},
		"white space around the equal sign":     {"mx.bolwerk.example; dmarc = pass header.from = bank.example ;", true, ""},
		"someone else's server":                 {"mx.elsewhere.example; dmarc=pass header.from=bank.example", false, ""},
		"no server at all":                      {"dmarc=pass header.from=bank.example", false, ""},
		"another domain":                        {"mx.bolwerk.example; dmarc=pass header.from=evil.example", false, ""},
		"a subdomain":                           {"mx.bolwerk.example; dmarc=pass header.from=mail.bank.example", false, ""},
		"failed":                                {"mx.bolwerk.example; dmarc=fail header.from=bank.example; dkim=pass header.d=list.example", false, "list.example"},
		"two opinions":                          {"mx.bolwerk.example; dmarc=pass header.from=bank.example; dmarc=fail header.from=bank.example", false, ""},
		"two domains":                           {"mx.bolwerk.example; dmarc=pass header.from=bank.example header.from=evil.example", false, ""},
		"nothing checked":                       {"mx.bolwerk.example; none", false, ""},
		"only SPF":                              {"mx.bolwerk.example; spf=pass smtp.mailfrom=bank.example", false, ""},
		"forged below the true one":             {"mx.bolwerk.example; dmarc=fail header.from=bank.example\nmx.bolwerk.example; dmarc=pass header.from=bank.example", false, ""},
		"forged below a foreign one":            {"other.example; dmarc=pass header.from=bank.example\nmx.bolwerk.example; dmarc=pass header.from=bank.example", false, ""},
		"inside a quoted local part":            {`mx.bolwerk.example; spf=pass smtp.mailfrom="x; dmarc=pass header.from=bank.example; dkim=pass header.d=bank.example"@evil.example`, false, ""},
		"inside a quoted reason with an escape": {`mx.bolwerk.example; spf=fail reason="\"; dmarc=pass header.from=bank.example"`, false, ""},
		"inside a comment":                      {"mx.bolwerk.example; spf=fail (HELO evil; dmarc=pass header.from=bank.example) smtp.helo=x", false, ""},
		"inside a comment in a comment":         {`mx.bolwerk.example; spf=fail (a (b\)) ; dmarc=pass header.from=bank.example) smtp.helo=x`, false, ""},
		"a comment that does not end":           {"mx.bolwerk.example; dmarc=pass header.from=bank.example (", false, ""},
		"a quote that does not end":             {`mx.bolwerk.example; dmarc=pass header.from=bank.example; spf=pass smtp.mailfrom="`, false, ""},
		"another version":                       {"mx.bolwerk.example 2; dmarc=pass header.from=bank.example", false, ""},
		"endless":                               {"mx.bolwerk.example; dmarc=pass header.from=bank.example" + strings.Repeat("; a=b", 300), false, ""},
		"very deep":                             {"mx.bolwerk.example; dmarc=pass header.from=bank.example " + strings.Repeat("(", 5000) + strings.Repeat(")", 5000), false, ""},
	} {
		ok, dkim := Proved(strings.Split(c.results, "\n\x00")[:1], []string{"mx.bolwerk.example"}, MustAddress(from))
		if strings.Contains(name, "forged") {
			ok, dkim = Proved(strings.Split(c.results, "\n"), []string{"mx.bolwerk.example"}, MustAddress(from))
		}
		var names []string
		for _, d := range dkim {
			names = append(names, d.String())
		}
		if got := strings.Join(names, " "); ok != c.ok || got != c.dkim {
			t.Errorf("%s: got %v %q, want %v %q", name, ok, got, c.ok, c.dkim)
		}
	}
	if ok, _ := Proved(nil, []string{"x"}, MustAddress(from)); ok {
		t.Error("no field proved somebody")
	}
}

// What another library writes we read as it was meant.
func TestParseResults_readsWhatOthersWrite(t *testing.T) {
	field := authres.Format("mx.bolwerk.example", []authres.Result{
		&authres.SPFResult{Value: authres.ResultPass, Reason: "it is; fine (really)", From: `"a;b"@x.example`},
		&authres.DKIMResult{Value: authres.ResultPass, Domain: "x.example", Identifier: "@x.example"},
		&authres.DMARCResult{Value: authres.ResultPass, From: "x.example"},
	})
	ok, dkim := Proved([]string{field}, []string{"mx.bolwerk.example"}, MustAddress("anna@x.example"))
	if !ok || len(dkim) != 1 || dkim[0] != bolwerk.MustDomain("x.example") {
		t.Errorf("%s: got %v %v", field, ok, dkim)
	}
}

func TestParseResults_corpus(t *testing.T) {
	data := os.Getenv("BOLWERK_DATA")
	if data == "" {
		t.Skip("BOLWERK_DATA is not set: Authentication-Results of real mails are not read")
	}
	files, _ := filepath.Glob(filepath.Join(data, "mail", "*", "*.eml"))
	var fields, read, dmarc int
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		m, err := mail.ReadMessage(f)
		f.Close()
		if err != nil {
			continue
		}
		for _, v := range m.Header["Authentication-Results"] {
			fields++
			// Microsoft 365 leaves the authserv-id out.
			_, methods, ok := parseResults("mx.example; " + v)
			if _, more, idOK := parseResults(v); !ok {
				methods, ok = more, idOK
			}
			if !ok {
				t.Logf("not read: %q", v)
				continue
			}
			read++
			for _, m := range methods {
				if m.name == "dmarc" {
					dmarc++
				}
			}
		}
	}
	t.Logf("%d fields in %d mails: %d read, %d with a DMARC result", fields, len(files), read, dmarc)
	if fields == 0 || float64(read) < .97*float64(fields) {
		t.Errorf("only %d of %d fields read", read, fields)
	}
}

func FuzzProved(f *testing.F) {
	f.Add("mx.bolwerk.example; dmarc=pass header.from=bank.example; dkim=pass header.d=bank.example")
	f.Add(`mx.bolwerk.example 1; spf=pass (a (b\)) c) smtp.mailfrom="x; y"@evil.example; dmarc=pass header.from=bank.example`)
	f.Add("mx.bolwerk.example; none")
	from, ids := MustAddress("anna@bank.example"), []string{"mx.bolwerk.example"}
	f.Fuzz(func(t *testing.T, v string) {
		ok, dkim := Proved([]string{v}, ids, from)
		low := strings.ToLower(v)
		if ok && !containsAll(low, "dmarc", "pass", "header.from", "mx.bolwerk.example") {
			t.Errorf("%q proves the sender", v)
		}
		if len(dkim) > maxDKIMDomains {
			t.Errorf("%d domains", len(dkim))
		}
		// Wrapped into a comment or a quoted string nothing proves anything.
		inner := strings.NewReplacer(`\`, "", `"`, "", "(", "", ")", "").Replace(v)
		for _, outer := range []string{"mx.bolwerk.example; spf=fail (" + inner + ") smtp.helo=x", `mx.bolwerk.example; spf=fail reason="` + inner + `"`} {
			if ok, dkim := Proved([]string{outer}, ids, from); ok || len(dkim) != 0 {
				t.Errorf("%q proves something", outer)
			}
		}
	})
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"anna@customer.example", "zoë@bücher.example", `"x y"@z.example`, "a@[::1]", "<a@b.example>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			return
		}
		text := a.String()
		if again, err := ParseAddress(text); err != nil || again != a {
			t.Errorf("%q became %q, which became %q, %v", s, text, again, err)
		}
		if strings.ContainsAny(text, "\r\n\x00 <>\"") || !utf8.ValidString(text) || len(text) > 320 {
			t.Errorf("%q gave the unsafe %q", s, text)
		}
	})
}

func TestMayAnswer(t *testing.T) {
	own := []Address{MustAddress(report), MustAddress("shield@bolwerk.example")}
	good := Outer{From: []string{"Anna@customer.example"}, ReturnPath: "anna@customer.example", AutoSubmitted: "no (a person)",
		ContentType: "multipart/mixed; boundary=x", Proved: true}
	if to, why := MayAnswer(good, own); why != "" || to.String() != "Anna@customer.example" {
		t.Fatalf("a proved reporter gets none: %q", why)
	}
	for _, c := range []struct {
		change func(*Outer)
		want   Silence
	}{
		{func(o *Outer) { o.Proved = false }, Unproved},
		{func(o *Outer) { o.From = nil }, NoSender},
		{func(o *Outer) { o.From = append(o.From, "victim@x.example") }, NoSender},
		{func(o *Outer) { o.From = []string{"Anna <a@x.example>"} }, NoSender},
		{func(o *Outer) { o.ReturnPath = "" }, NullPath},
		{func(o *Outer) { o.ReturnPath = "<>" }, NullPath},
		{func(o *Outer) { o.From = []string{"MAILER-DAEMON@x.example"} }, Robot},
		{func(o *Outer) { o.From = []string{"Postmaster@x.example"} }, Robot},
		{func(o *Outer) { o.From = []string{"no_reply+7@x.example"} }, Robot},
		{func(o *Outer) { o.From = []string{"orders.noreply@x.example"} }, Robot},
		{func(o *Outer) { o.From = []string{"ne-pas-repondre@x.example"} }, Robot},
		{func(o *Outer) { o.ReturnPath = "owner-news@x.example" }, Robot},
		{func(o *Outer) { o.ReturnPath = "news-request@x.example" }, Robot},
		{func(o *Outer) { o.AutoSubmitted = "Auto-Replied; owner-email=x" }, Automatic},
		{func(o *Outer) { o.AutoSubmitted = "auto-generated" }, Automatic},
		{func(o *Outer) { o.Precedence = " Bulk" }, Bulk},
		{func(o *Outer) { o.Precedence = "junk" }, Bulk},
		{func(o *Outer) { o.List = true }, ListMail},
		{func(o *Outer) { o.Suppress = "DR, OOF, AutoReply" }, Suppressed},
		{func(o *Outer) { o.ContentType = "multipart/report; report-type=delivery-status" }, Machine},
		{func(o *Outer) { o.From = []string{"SUSPICIOUS@bolwerk.example"} }, OurOwn},
		{func(o *Outer) { o.From = []string{"shield+x@bolwerk.example"} }, OurOwn},
		{func(o *Outer) { o.ReturnPath = "shield@bolwerk.example" }, OurOwn},
	} {
		o := good
		c.change(&o)
		if to, why := MayAnswer(o, own); why != c.want || !to.IsZero() {
			t.Errorf("%+v: got %q, want %q", o, why, c.want)
		}
	}
}

func FuzzMayAnswer(f *testing.F) {
	f.Add("anna@customer.example", "anna@customer.example", "no", "", "")
	f.Fuzz(func(t *testing.T, from, path, auto, precedence, suppress string) {
		o := Outer{From: []string{from}, ReturnPath: path, AutoSubmitted: auto, Precedence: precedence, Suppress: suppress}
		if _, why := MayAnswer(o, nil); why == "" {
			t.Fatal("an unproved sender is answered")
		}
		o.Proved = true
		if to, why := MayAnswer(o, nil); (why == "") == to.IsZero() {
			t.Fatalf("%+v: %q and %q", o, to, why)
		}
	})
}
