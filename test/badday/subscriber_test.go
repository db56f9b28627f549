package badday

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bolwerk/test/live"
)

// subscriber is what identifies one, and what was written about and to them.
var subscriber = map[string]string{
	"name at the access server":  "qzsub-4711@qzisp.example",
	"port of the line":           "qzport-4711/3",
	"device":                     "00:53:71:c4:11:07",
	"address":                    "198.51.100.241",
	"name of a person":           "Quinten Qzubscriber",
	"mail address":               "qzsub@qzhome.example",
	"phone number":               "+32470471147",
	"street":                     "Qzstreet 4711",
	"note of staff":              "qznote 4711",
	"what the subscriber says":   "qzsays 4711",
	"address of who reported":    "qzreports@qzfeed.example",
	"words of who reported":      "qzevidence 4711",
	"subscriber, as a view has":  "qzview-4711@qzisp.example",
	"subscriber that only asked": "qzasked-4711@qzisp.example",
}

// What identifies a subscriber lies nowhere in the clear: not while a case is worked on
// and they are told, not in the backup, logs and metrics. The subscriber gets all of it;
// after it is erased, what is left is what a duty keeps, and the report says so.
func TestNothingOfASubscriberLiesAround(t *testing.T) {
	long(t)
	t.Parallel()
	s := live.Apart(t, "", "[abuse]\nnetworks = ['198.51.100.0/24']\naddresses = ['abuse@bolwerk.example']\n[abuse.inform]\nfrom = 'abuse@bolwerk.example'\n", nil)
	s.Found()
	p := subscriber
	outside := t.TempDir() // the operator's own files
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(outside, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	mine := func(args ...string) string {
		t.Helper()
		return s.MustRun(append(args, "--server", s.Console, "--token-file", file("token", s.Token("anna", "read,report,decide")))...)
	}
	socket := func(args ...string) string {
		t.Helper()
		return s.MustRun(append(args, "--data", s.Data("desk"))...)
	}
	now := time.Now().UTC()
	table := fmt.Sprintf("address,subscriber,line,device,from,until\n%s,%s,%s,%s,%s,%s\n", p["address"], p["name at the access server"], p["port of the line"], p["device"],
		now.Add(-5*time.Hour).Format(time.RFC3339), now.Add(5*time.Hour).Format(time.RFC3339))
	socket("abuse", "leases", "import", file("leases.csv", table), "--server", "dhcp1")
	mine("abuse", "contact", "import", file("contacts.csv", fmt.Sprintf("subscriber,name,mail,phone,street,lang,channels\n%s,%s,%s,%s,%s,nl,mail\n", p["name at the access server"], p["name of a person"], p["mail address"], p["phone number"], p["street"])))
	socket("abuse", "view", "set", p["subscriber, as a view has"], "opt_out", "--reason", "asked for it")

	xarf, err := json.Marshal(map[string]any{"xarf_version": "4.0.0", "report_id": "01900000-0000-4000-8000-000000004711", "timestamp": now.Format(time.RFC3339), "source_identifier": p["address"], "source_port": 50123,
		"reporter": map[string]string{"org": "Feed", "contact": p["address of who reported"], "domain": "qzfeed.example"}, "sender": map[string]string{"org": "Feed", "contact": p["address of who reported"], "domain": "qzfeed.example"},
		"category": "connection", "type": "login_attack", "protocol": "tcp", "destination_port": 22, "first_seen": now.Add(-time.Hour).Format(time.RFC3339), "evidence_source": "honeypot", "description": p["words of who reported"]})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Call("POST", s.Public+"/api/v1/abuse/reports", "qz-4711", json.RawMessage(xarf), nil); err != nil {
		t.Fatal(err)
	}
	var id string
	until(t, "the case", 30*time.Second, func() (bool, error) {
		var page struct{ Items []struct{ ID string } }
		_, err := s.Call("GET", s.Console+"/api/v1/abuse/cases", "", nil, &page)
		if len(page.Items) == 1 {
			id = page.Items[0].ID
		}
		return id != "", err
	})
	mine("abuse", "case", "note", id, p["note of staff"])
	mine("abuse", "case", "note", id, p["what the subscriber says"], "--statement")
	mine("abuse", "inform", id, "--kind", "warned")
	until(t, "the mail to the subscriber", 30*time.Second, func() (bool, error) {
		all, err := filepath.Glob(filepath.Join(s.Data("desk"), "outbox", "*.eml"))
		for _, name := range all {
			if b, err := os.ReadFile(name); err == nil && strings.Contains(string(b), p["mail address"]) {
				return true, nil
			}
		}
		return false, err
	})

	sum := func(when string) {
		t.Helper()
		for role, addr := range s.Metrics {
			res, err := http.Get("http://" + addr + "/metrics")
			if err != nil {
				t.Fatal(err)
			}
			b := new(strings.Builder)
			if err := res.Write(b); err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			sweep(t, "metrics of "+role, []byte(b.String()), p)
		}
		n, size := everywhere(t, s, when, p)
		t.Logf("%s: %d files, %d MiB", when, n, size>>20)
	}
	s.MustRun("backup", filepath.Join(s.Dir, "backup.db"), "--config", filepath.Join(s.Dir, "desk.toml"))
	sum("worked on")

	export := func() string {
		t.Helper()
		return socket("privacy", "export", p["name at the access server"], "--reason", "letter 4711", "--json")
	}
	all := export()
	for _, want := range []string{"name at the access server", "port of the line", "device", "address", "name of a person", "mail address", "phone number", "street", "note of staff", "what the subscriber says"} {
		if b, _ := json.Marshal(p[want]); !strings.Contains(all, strings.Trim(string(b), `"`)) {
			t.Errorf("the subscriber does not get the %s", want)
		}
	}
	for _, not := range []string{"address of who reported", "words of who reported", "subscriber, as a view has"} {
		if strings.Contains(all, p[not]) {
			t.Errorf("the subscriber gets the %s", not)
		}
	}
	if _, err := s.Call("POST", s.Console+"/api/v1/abuse/cases/"+id+"/close", "", map[string]string{"reason": "cleaned", "text": "it is over"}, nil); err != nil {
		t.Fatal(err)
	}
	if said := socket("privacy", "erase", p["name at the access server"], "--reason", "letter 4712"); !strings.Contains(said, "closed cases") {
		t.Errorf("erased: %s", said)
	}
	all = export()
	for _, gone := range []string{"note of staff", "what the subscriber says", `"what": "case"`} {
		if text := p[gone]; text != "" && strings.Contains(all, text) || strings.Contains(all, gone) {
			t.Errorf("after erasing, the subscriber still has: %s", gone)
		}
	}
	if said := socket("privacy", "export", p["subscriber that only asked"], "--reason", "letter 4713", "--json"); strings.Contains(said, p["address"]) {
		t.Error("another gets the subscriber's address")
	}
	sum("erased")
	for _, role := range []string{"desk", "intake", "edge"} {
		if err := s.Stop(role); err != nil {
			t.Error(err)
		}
	}
	n, _ := everywhere(t, s, "stopped", p)
	t.Logf("stopped: %d files", n)
}
