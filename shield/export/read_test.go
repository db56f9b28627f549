package export

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"bolwerk"
)

// said is an item as a test writes it.
func said(i Item) string {
	if i.Bad != "" {
		return fmt.Sprintf("%d bad %s: %s", i.At, i.Text, i.Bad)
	}
	out := fmt.Sprintf("%d %s %s", i.At, i.Name, i.Scope)
	if i.Pass {
		out += " pass"
	}
	for _, s := range []string{i.Action, i.Class, i.Reason, i.Legal, i.Over} {
		if s != "" {
			out += " " + s
		}
	}
	if i.Order != "" {
		out += " order:" + i.Order
	}
	if !i.Until.IsZero() {
		out += " " + i.Until.UTC().Format(time.DateOnly)
	}
	return out
}

func TestReadWhatOthersWrite(t *testing.T) {
	for name, c := range map[string]struct {
		text, format string
		want         []string
	}{
		"plain": {"# bad\n\nbad.example # since May\r\n*.worse.example\n.worst.example\nMÜNCHNER-paket.example\nhttp://a.example/b\ncom\n", "txt",
			[]string{"3 bad.example host", "4 worse.example subtree", "5 worst.example subtree", "6 xn--mnchner-paket-wob.example host", "7 bad http://a.example/b: an address, no name: report it instead", "8 bad com: no name below a suffix"}},
		"hosts": {"# Title\n127.0.0.1 localhost\n::1 localhost ip6-localhost\n0.0.0.0 0.0.0.0\n0.0.0.0 bad.example www.bad.example # x\n192.0.2.7 rewritten.example\n", "hosts",
			[]string{"5 bad.example host", "5 www.bad.example host", "6 bad rewritten.example: leads to 192.0.2.7: that is no block"}},
		"adblock": {"[Adblock Plus]\n! Title: bad\n||bad.example^\n|host.example^\n@@||good.example^|\n||ads.example^$third-party\n||imp.example^$important\n/banner/*\nexample.com##.ad\n", "adblock",
			[]string{"3 bad.example subtree", "4 host.example host", "5 good.example subtree pass", "6 bad ||ads.example^$third-party: a rule with options: it means less than the name", "7 imp.example subtree",
				"8 bad /banner/*: a rule that is no name", "9 bad example.com##.ad: a rule that is no name"}},
		"rpz": {"$TTL 60\n@ SOA localhost. hostmaster.localhost. 1 60 60 60 60\n@ NS localhost.\ngood.example CNAME rpz-passthru.\nbad.example CNAME .\n*.bad.example CNAME .\nnodata.example CNAME *.\nland.example A 192.0.2.1\nland.example AAAA 2001:db8::1\n*.only.example CNAME .\n24.0.2.0.192.rpz-ip CNAME .\n", "rpz",
			[]string{"3 good.example host pass", "4 bad.example subtree nxdomain", "6 nodata.example host nodata", "7 land.example host redirect", "10 bad 24.0.2.0.192.rpz-ip: a trigger that is no name", "9 bad *.only.example: only what is below the name is meant: no scope says that"}},
		"rpz, absolute": {"b.rpz. 60 IN SOA localhost. h.localhost. 1 60 60 60 60\nbad.example.b.rpz. 60 IN CNAME .\nelse.example. 60 IN CNAME .\n", "rpz",
			[]string{"2 bad.example host nxdomain", "3 bad else.example.: outside the zone b.rpz."}},
		"csv of another product": {"\ufeffDomain;Reason\nbad.example;'=1+1\n\"a;b\";x\n", "csv", []string{"2 bad.example host =1+1", "3 bad a;b: no name"}},
		"console": {"ref,name,scope,class,ground,legal,reason,valid_until,state\nB-2026-000001,bad.example,subtree,phishing,policy,law,seen,2026-12-01T00:00:00Z,in_force\nB-2026-000002,old.example,host,phishing,policy,law,seen,,withdrawn\nE-2026-000001,good.example,host,,,,ours,,in_force\n", "csv",
			[]string{"2 bad.example subtree phishing seen law 2026-12-01", "3 old.example host phishing seen law withdrawn", "4 good.example host pass ours"}},
		"bolwerk export": {`{"ref":"B-1","pass":false,"order_id":"","name":"bad.example","scope":"host","reason":"seen","valid_until":1796083200000000,"state":"in_force"}` + "\n" +
			`{"ref":"B-2","pass":false,"order_id":"O-1","name":"their.example","scope":"host","valid_until":0,"state":"in_force"}` + "\n", "json",
			[]string{"1 bad.example host seen 2026-12-01", "2 their.example host order:O-1"}},
		"list --json": {"{\"items\":[\n{\"id\":\"x\",\"ref\":\"B-1\",\"name\":\"bad.example\",\"scope\":\"host\",\"hits\":{\"dns\":1},\"state\":\"in_force\"}\n]}\n", "json", []string{"1 bad.example host"}},
		"nothing":     {"# only words\n", "txt", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := guess([]byte(strings.TrimPrefix(c.text, "\ufeff"))); got != c.format {
				t.Errorf("taken for %s, want %s", got, c.format)
			}
			all, err := Read(strings.NewReader(c.text), Guess)
			var got []string
			for _, i := range all {
				got = append(got, said(i))
			}
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%v\n got %s\nwant %s", err, strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
			}
		})
	}
}

// What Write wrote is read back: of formats that say less, less.
func TestReadWhatWriteWrote(t *testing.T) {
	for _, f := range Formats() {
		all, err := Read(strings.NewReader(written(t, f.Name)), Guess)
		if err != nil {
			t.Errorf("%s: %v", f.Name, err)
			continue
		}
		got := map[string]Item{}
		for _, i := range all {
			if i.Bad != "" {
				t.Errorf("%s: %s", f.Name, said(i))
			}
			got[i.Name] = i
		}
		for _, r := range rows {
			i, ok := got[r.Name]
			if r.Pass && f.Exact {
				continue
			}
			if !ok || i.Pass != r.Pass || !f.Exact && (i.Scope == bolwerk.ScopeHost) != (r.Scope == bolwerk.ScopeHost) {
				t.Errorf("%s: %s came back as %+v", f.Name, r.Name, i)
			}
			if (f.Name == "csv" || f.Name == "json") && !reflect.DeepEqual(i.Row, r) {
				t.Errorf("%s: %+v came back as %+v", f.Name, r, i.Row)
			}
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, format, want string }{
		"csv without names":  {"a,b\n1,2\n", "csv", "names no column"},
		"json of a list":     {"[1]", "json", `want {"items"`},
		"json that is cut":   {`{"items":[{"name":"a.example"`, "json", "after 0 rows"},
		"a zone that is cut": {"a.example CNAME\n", "rpz", "record 1"},
		"a file of the disk": {"$INCLUDE /etc/passwd\n", "rpz", "record 1"},
		"a line too long":    {"a.example\n" + strings.Repeat("a", maxLine+1), "txt", "line 2"},
		"too many":           {strings.Repeat("a.example\n", MaxItems+1), "txt", "more than 200000 rows"},
		"another format":     {"a", "xml", "want one of"},
	} {
		if _, err := Read(strings.NewReader(c.text), c.format); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Whatever is read: a row is a name that the DNS knows in a scope that blocks, or
// says why not; and reading it again from our CSV gives the same names.
func FuzzRead(f *testing.F) {
	for _, format := range Formats() {
		f.Add("||bad.example^\n", format.Name)
	}
	for _, s := range []string{"0.0.0.0 a.example b.example\n", "name;until\na.example;2026-11-30T12:00:00Z\n", `{"items":[{"name":"a.example","until":"x"}]}`, "a.example CNAME .\n*.a.example CNAME .\n", "$GENERATE 1-9 a$ CNAME .\n", "*..example\n"} {
		f.Add(s, Guess)
	}
	f.Fuzz(func(t *testing.T, text, format string) {
		all, err := Read(strings.NewReader(text), format)
		if err != nil {
			return
		}
		scopes := []bolwerk.Scope{bolwerk.ScopeHost, bolwerk.ScopeSubtree, bolwerk.ScopeRegistrable}
		for _, i := range all {
			if i.Bad != "" {
				continue
			}
			d, err := bolwerk.ParseDomain(i.Name)
			if err != nil || d.String() != i.Name || !slices.Contains(scopes, i.Scope) {
				t.Errorf("%q gives %+v: %v", text, i, err)
			}
		}
	})
}
