package allow_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"bolwerk"
	. "bolwerk/abuse/enforce/allow"
)

// 112 is never blocked: each way to it stays open, whatever else the list has.
func Test112IsNeverBlocked(t *testing.T) {
	names := Names(Entries())
	for _, n := range []string{
		"epdg.epc.mnc001.mcc206.pub.3gppnetwork.org",     // Proximus
		"epdg.epc.mnc008.mcc204.pub.3gppnetwork.org",     // KPN
		"sos.epdg.epc.mnc010.mcc206.pub.3gppnetwork.org", // emergency calls of TS 23.003
		"112.be", "www.112.be", "112.nl", "app.112.nl", "nora-notruf.de", "urgence114.fr",
		"gs-loc.apple.com", "kpnteletolk.nl", "www.tess-relay-dienste.de",
	} {
		if !Has(names, bolwerk.MustDomain(n)) {
			t.Errorf("%s is blocked", n)
		}
	}
	udp, tcp := Ports(Entries(), "udp"), Ports(Entries(), "tcp")
	for _, p := range []int{500, 4500, 5060, 3478} {
		if !slices.Contains(udp, p) {
			t.Errorf("UDP port %d is blocked", p)
		}
	}
	for _, p := range []int{5060, 5061} {
		if !slices.Contains(tcp, p) {
			t.Errorf("TCP port %d is blocked", p)
		}
	}
}

func TestEachNeedOfTheListIsThere(t *testing.T) {
	var kinds []string
	for _, e := range Entries() {
		kinds = append(kinds, e.Kind)
		if len(e.Why) < 20 {
			t.Errorf("%s: why %q", e.What, e.Why)
		}
	}
	for _, k := range []string{"emergency", "telephone", "care", "alarm", "payment", "repair", "works"} {
		if !slices.Contains(kinds, k) {
			t.Errorf("nothing of kind %s", k)
		}
	}
}

func TestNothingElseIsOpen(t *testing.T) {
	names := Names(Entries())
	for _, n := range []string{"example.com", "3gppnetwork.org", "not112.be", "org", "c2.botnet.example", "google.com", "microsoft.com", "apple.com"} {
		if Has(names, bolwerk.MustDomain(n)) {
			t.Errorf("%s is open", n)
		}
	}
}

func TestOwn(t *testing.T) {
	e, err := Own([]string{"mijn.isp.example", "webmail.isp.example"})
	if err != nil {
		t.Fatal(err)
	}
	names := Names(append(slices.Clone(Entries()), e))
	if !Has(names, bolwerk.MustDomain("a.mijn.isp.example")) || Has(names, bolwerk.MustDomain("isp.example")) {
		t.Error("the operator's own names")
	}
	for _, bad := range []string{"example", "Isp.Example", "a b.example", ""} {
		if _, err := Own([]string{bad}); err == nil {
			t.Errorf("%q taken", bad)
		}
	}
}

func TestPrint(t *testing.T) {
	for form, want := range map[string]string{
		Table:    "emergency\tCalls over Wi-Fi of every operator",
		DNSMasq:  "nftset=/pub.3gppnetwork.org/4#inet#bolwerk#allowed4,6#inet#bolwerk#allowed6\n",
		NFTables: "udp dport { 123, 500, 3478, 4500, 5060 } accept",
	} {
		var b bytes.Buffer
		if err := Print(&b, Entries(), form, "192.0.2.10"); err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("%s: %v\n%s", form, err, &b)
		}
	}
	if err := Print(&bytes.Buffer{}, Entries(), "cisco", "192.0.2.10"); err == nil {
		t.Error("an unknown form")
	}
}
