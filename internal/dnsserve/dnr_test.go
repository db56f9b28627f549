package dnsserve

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

// The options octet by octet, as RFC 9463 draws them.
func TestWriteDNR(t *testing.T) {
	c := DefaultConfig()
	c.Upstream = []string{"192.0.2.10:53"}
	c.ListenTLS, c.ListenHTTPS, c.CertFile, c.KeyFile = "192.0.2.53:853", "192.0.2.53:443", "c", "k"
	c.DDRName, c.DDRAddresses = "dns.isp.example", []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8::53"), netip.MustParseAddr("192.0.2.54")}
	hexOf := func(parts ...any) string {
		var b []byte
		for _, p := range parts {
			switch v := p.(type) {
			case string:
				b = append(b, v...)
			case int:
				b = append(b, byte(v))
			case []byte:
				b = append(b, v...)
			}
		}
		return hex.EncodeToString(b)
	}
	name := "\x03dns\x03isp\x07example\x00" // 17 octets
	dot := []byte("\x00\x01\x00\x04\x03dot\x00\x03\x00\x02\x03\x55")
	doh := []byte("\x00\x01\x00\x03\x02h2\x00\x03\x00\x02\x01\xbb\x00\x07\x00\x10/dns-query{?dns}")
	four, six := []byte{192, 0, 2, 53, 192, 0, 2, 54}, netip.MustParseAddr("2001:db8::53").AsSlice()
	dhcp4 := hexOf(0, 2+1+17+1+8+len(dot), 0, 1, 17, name, 8, four, dot, 0, 2+1+17+1+8+len(doh), 0, 2, 17, name, 8, four, doh)
	first, second := hexOf(0, 1, 0, 17, name, 0, 16, six, dot), hexOf(0, 2, 0, 17, name, 0, 16, six, doh)
	ra := func(priority int, params []byte) string {
		b := hexOf(144, 0, 0, priority, 0, 0, 7, 8, 0, 17, name, 0, 16, six, 0, len(params), params)
		for len(b)%16 != 0 {
			b += "00"
		}
		return b[:2] + hexOf(len(b)/16) + b[4:]
	}
	var out bytes.Buffer
	if err := WriteDNR(&out, c); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# dns.isp.example, dot at port 853, h2 at port 443\n",
		`{ "space": "dhcp4", "code": 162, "csv-format": false, "data": "` + strings.ToUpper(dhcp4) + `" }`,
		`{ "space": "dhcp6", "code": 144, "csv-format": false, "data": "` + strings.ToUpper(first) + `" }`,
		`{ "space": "dhcp6", "code": 144, "csv-format": false, "data": "` + strings.ToUpper(second) + `" }`,
		"dhcp-option=162,00:" + dhcp4[2:4] + ":00:01:11:03:64:6e:73:",
		"dhcp-option=option6:144,00:01:00:11:03:64:6e:73:",
		"\n" + ra(1, dot) + "\n" + ra(2, doh) + "\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	c.DDRAddresses = nil
	if err := WriteDNR(&out, c); err == nil {
		t.Error("without an address nothing can be named")
	}
}
