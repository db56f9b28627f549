package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bolwerk/internal/store/storetest"
	"bolwerk/test/live"
)

// What one desk keeps of a subscriber, the other reads: how to reach them, who a case is
// about, which view they chose. A second report, at the other desk, is of the same case.
func TestTwoDesksKnowTheSameSubscribers(t *testing.T) {
	needPostgres(t)
	url := storetest.URL(t)
	s := live.Apart(t, "", fmt.Sprintf("[store]\nurl = '%s'\n", url), nil)
	one, two := &desk{s, "desk", ""}, &desk{s.Beside(), "desk-2", ""}
	one.start()
	s.ShareKeys(two.Site)
	two.start()
	s.Session("dora", "duty_officer")

	file := func(name, text string) string {
		path := filepath.Join(s.Dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	token := file("dora.token", s.Token("dora", "read,report,decide"))
	at := func(d *desk, args ...string) string {
		t.Helper()
		return s.MustRun(append(args, "--server", d.Console, "--token-file", token)...)
	}
	s.MustRun("abuse", "lines", "import", file("lines.csv", "prefix,customer,line,from,until,reseller\n198.51.100.8/29,school,,2026-01-01,,\n"), "--data", one.Data("desk"))
	at(one, "abuse", "contact", "import", file("contacts.csv", "subscriber,name,never\nschool,De Wilg,true\n"))
	s.MustRun("abuse", "view", "set", "school", "opt_out", "--reason", "asked for it", "--data", one.Data("desk"))

	if got := at(two, "abuse", "contact", "show", "school", "--reason", "a story"); !strings.Contains(got, "De Wilg") {
		t.Errorf("the other desk says of a contact:\n%s", got)
	}
	if got := s.MustRun("abuse", "view", "list", "--data", two.Data("desk")); !strings.Contains(got, "school") {
		t.Errorf("the other desk says of a view:\n%s", got)
	}

	const head = "timestamp,protocol,src_ip,src_port,src_asn,dst_ip,dst_port,infection\n"
	seen := func(ago time.Duration) string {
		return fmt.Sprintf(head+"%s,tcp,198.51.100.9,48101,64496,203.0.113.90,23,mirai\n", time.Now().UTC().Add(-ago).Format(time.DateTime))
	}
	var page struct {
		Items []struct {
			Ref    string
			Events int
		}
	}
	for n, d := range []*desk{one, two} {
		at(d, "abuse", "import", file(d.role+".csv", seen(time.Duration(n+1)*10*time.Minute)))
		must(t, live.Until(time.Minute, func() (bool, error) {
			err := json.Unmarshal([]byte(at(d, "abuse", "case", "list", "--json")), &page)
			return len(page.Items) > 0 && page.Items[0].Events == n+1 || len(page.Items) > 1, err
		}))
	}
	if len(page.Items) != 1 {
		t.Fatalf("one subscriber has %d cases", len(page.Items))
	}
	for _, d := range []*desk{one, two} {
		if got := at(d, "abuse", "case", "show", page.Items[0].Ref); !strings.Contains(got, "school") {
			t.Errorf("%s does not say whose case it is:\n%s", d.role, got)
		}
	}
}
