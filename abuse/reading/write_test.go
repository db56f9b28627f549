package reading

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// Every class can be told in XARF, with all that an event may know and with the least;
// the schemas hold it, and our own reader reads it back.
func TestEveryClassGoesOutAsXARF(t *testing.T) {
	at := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	by := Party{Org: "Example Telecom", Contact: "abuse@telecom.example", Domain: "telecom.example"}
	as := map[string]int{}
	for _, c := range classes {
		for _, e := range []Event{
			{Class: c, SourceIP: netip.MustParseAddr("192.0.2.17"), Time: at},
			{Class: c, SourceIP: netip.MustParseAddr("2001:db8::17"), SourcePort: 40001, Protocol: "tcp", DestinationPort: 22, DestinationIP: netip.MustParseAddr("198.51.100.9"), Application: "ssh", Malware: "qsnatch", Time: at, From: at.Add(-time.Hour), To: at, SourceURL: "http://192.0.2.17/x", Reporter: "Jan"},
			{Class: c, SourceIP: netip.MustParseAddr("192.0.2.17"), SourcePort: 53, Protocol: "udp", Kind: "scan_dns", Time: at},
		} {
			e.complete()
			b, err := ToXARF(e, by, "event-1")
			if err != nil {
				t.Errorf("%s: %v", c, err)
				continue
			}
			r := Read("", b, Option{Received: at})
			if r.Format != XARF4 || len(r.Events) != 1 || r.Events[0].SourceIP != e.SourceIP || r.Events[0].Class != c || r.Events[0].SourcePort != e.SourcePort || !r.Events[0].Time.Equal(at) {
				t.Errorf("%s: read back as %s %+v %v", c, r.Format, r.Events, r.Refused)
			}
			var o map[string]any
			if err := json.Unmarshal(b, &o); err != nil {
				t.Fatal(err)
			}
			if o["reporter"].(map[string]any)["org"] != "Example Telecom" {
				t.Errorf("%s: the reporter is named: %s", c, b)
			}
			if o["category"].(string)+"/"+o["type"].(string) == e.XARF {
				as["own"]++
			} else {
				as["nearest"]++
			}
		}
	}
	// A tag makes no more of the evidence than its kind: only where an event of the class is told as this.
	for _, tag := range []string{"rsit:infected-system", "rsit:ids-alert", "rsit:nonsense", "rsit:brute-force", "x:infected-system"} {
		r := Read("", []byte(x4(strings.Replace(scan, "port_scan", "login_attack", 1)+`,"tags":["`+tag+`"]`)), Option{})
		if len(r.Events) != 1 || r.Events[0].Class != BruteForce || r.Events[0].Basis != Handshake {
			t.Errorf("%s: read as %+v %v", tag, r.Events, r.Refused)
		}
	}
	t.Logf("%d as their own type, %d as the nearest", as["own"], as["nearest"])
	if _, err := ToXARF(Event{Class: Spam, Time: at}, by, "x"); err == nil {
		t.Error("an event without a source was told")
	}
}
