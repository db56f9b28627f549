package lines

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"bolwerk/abuse/session"
)

var every = []Form{Kea4, Kea6, Leases, Fixed}

func read(t testing.TB, text string) (Result, []session.Record) {
	t.Helper()
	var all []session.Record
	res, err := Read(strings.NewReader(text), "dhcp1", every, func(r []session.Record) error { all = append(all, r...); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return res, all
}

// said is a record in a line.
func said(r session.Record) string {
	until := "open"
	if !r.Until.IsZero() {
		until = r.Until.Format(time.RFC3339)
	}
	return fmt.Sprint(r.Kind, " ", r.Source, " ", r.NAS, " ", r.Who(), " ", r.Calling, " ", r.Line, " ", r.Prefixes, " ", r.At.Format(time.RFC3339), " ", until, " ", r.Reseller)
}

func TestRead(t *testing.T) {
	const four = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id\n"
	const six = "address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state,user_context,hwtype,hwaddr_source,pool_id\n"
	for _, c := range []struct {
		name, text    string
		want          []string
		leftOut, bads int
	}{
		{"kea, one address", four + "198.51.100.7,00:53:00:00:00:01,,3600,1795694400,1,0,0,,0,,0\n",
			[]string{"interim lease dhcp1 device 00:53:00:00:00:01 00:53:00:00:00:01  [198.51.100.7/32] 2026-11-26T11:00:00Z 2026-11-26T12:00:00Z false"}, 0, 0},
		{"kea, the line that the relay named", four + `198.51.100.7,00:53:00:00:00:01,,3600,1795694400,1,0,0,,0,{ "ISC": { "relay-agent-info": { "sub-options": "0x0104657468310202abcd" } } },0` + "\n",
			[]string{"interim lease dhcp1 line eth1 0xabcd 00:53:00:00:00:01 eth1 0xabcd [198.51.100.7/32] 2026-11-26T11:00:00Z 2026-11-26T12:00:00Z false"}, 0, 0},
		{"kea, as written before 2.3", four + `198.51.100.7,00:53:00:00:00:01,,3600,1795694400,1,0,0,,0,{ "ISC": { "relay-agent-info": "0x010465746831" }&#x2c "a": 1 },0` + "\n",
			[]string{"interim lease dhcp1 line eth1 00:53:00:00:00:01 eth1 [198.51.100.7/32] 2026-11-26T11:00:00Z 2026-11-26T12:00:00Z false"}, 0, 0},
		{"kea, given back and declined", four + "198.51.100.7,00:53:00:00:00:01,,0,1795694400,1,0,0,,0,,0\n198.51.100.8,,,3600,1795694400,1,0,0,,1,,0\n", nil, 2, 0},
		{"kea, IPv6 address and prefix", six + "2001:db8::7,00:01:02,3600,1795694400,1,1800,0,1,128,0,0,,,0,,,,0\n2001:db8:1::,00:01:02,3600,1795694400,1,1800,2,1,56,0,0,,,0,,,,0\n",
			[]string{"interim lease dhcp1 device 00:01:02 00:01:02  [2001:db8::7/128] 2026-11-26T11:00:00Z 2026-11-26T12:00:00Z false",
				"interim lease dhcp1 device 00:01:02 00:01:02  [2001:db8:1::/56] 2026-11-26T11:00:00Z 2026-11-26T12:00:00Z false"}, 0, 0},
		{"leases", "address,subscriber,line,device,from,until\n198.51.100.7,anna,\"port 1, shelf \"\"2\"\"\",,2026-11-26T12:00:00+01:00,2026-11-27\n",
			[]string{`start lease dhcp1 subscriber anna  port 1, shelf "2" [198.51.100.7/32] 2026-11-26T11:00:00Z 2026-11-27T00:00:00Z false`}, 0, 0},
		{"fixed lines", "\uFEFFprefix,customer,line,from,until,reseller\r\n# a school\r\n203.0.113.0/29,school,,,,\r\n2001:db8:9::/48,wholesale-1,,2026-01-01,2027-01-01,yes\r\n",
			[]string{"start table table subscriber school   [203.0.113.0/29] 2000-01-01T00:00:00Z open false",
				"start table table subscriber wholesale-1   [2001:db8:9::/48] 2026-01-01T00:00:00Z 2027-01-01T00:00:00Z true"}, 0, 0},
		{"bad lines cost only themselves", "prefix,customer,reseller\n203.0.113.1/29,a,\n203.0.113.0/29,,\n203.0.113.0/29,a,maybe\n0.0.0.0/0,a,\n\"203.0.113.0/29\"x,a,\n203.0.113.0/29,a,no\n",
			[]string{"start table table subscriber a   [203.0.113.0/29] 2000-01-01T00:00:00Z open false"}, 0, 5},
		{"bad leases", four + "198.51.100.7,00:53,,-1,1795694400,1,0,0,,0,,0\n198.51.100.7,00:53,,1,x,1,0,0,,0,,0\n198.51.100.0/24,00:53,,1,1795694400,1,0,0,,0,,0\n198.51.100.7,,,1,1795694400,1,0,0,,0,,0\n", nil, 0, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, got := read(t, c.text)
			var lines []string
			for _, r := range got {
				lines = append(lines, said(r))
			}
			if !reflect.DeepEqual(lines, c.want) || res.LeftOut != c.leftOut || res.BadCount != c.bads || res.Taken != len(c.want) {
				t.Errorf("got %q, %+v\nwant %q, %d left out, %d bad", lines, res, c.want, c.leftOut, c.bads)
			}
		})
	}
}

func TestAFileIsRefused(t *testing.T) {
	for _, text := range []string{"", "\n\n", "a,b,c\n1,2,3\n", "prefix,customer\n" + strings.Repeat("x", MaxLine+1)} {
		if res, err := Read(strings.NewReader(text), "s", every, func([]session.Record) error { return nil }); err == nil {
			t.Errorf("%.20q was read: %+v", text, res)
		}
	}
	if _, err := Read(strings.NewReader("prefix,customer\n"), "s", []Form{Kea4}, nil); err == nil {
		t.Error("a table of fixed lines was read as leases")
	}
	full := errors.New("full")
	if _, err := Read(strings.NewReader("prefix,customer\n203.0.113.0/29,a\n"), "s", every, func([]session.Record) error { return full }); !errors.Is(err, full) {
		t.Errorf("got %v, want what the store says", err)
	}
}

func TestManyLinesComeInBatches(t *testing.T) {
	var b strings.Builder
	b.WriteString("prefix,customer\n")
	for i := range 1201 {
		fmt.Fprintf(&b, "%s,c%d\n", netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), i)
	}
	var sizes []int
	res, err := Read(strings.NewReader(b.String()), "s", every, func(r []session.Record) error { sizes = append(sizes, len(r)); return nil })
	if err != nil || res.Taken != 1201 || !reflect.DeepEqual(sizes, []int{500, 500, 201}) {
		t.Errorf("%+v, %v in %v", res, err, sizes)
	}
}

// Whatever stands in a file: each record can be kept, each line is counted once, and
// what was read is read again the same.
func FuzzRead(f *testing.F) {
	f.Add("address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id\n198.51.100.7,00:53:00:00:00:01,,3600,1795694400,1,0,0,,0,{ \"ISC\": { \"relay-agent-info\": \"0x010465746831\" } },0\n")
	f.Add("address,duid,valid_lifetime,expire,lease_type,prefix_len,user_context\n2001:db8::,0:1,4294967295,8589934591,2,56,{\"ISC\":{\"relay-info\":[{\"interface-id\":\"0x41\"}]}}\n")
	f.Add("address,subscriber,line,device,from,until\n198.51.100.7,anna,\"a\"\"b\",,2026-11-26,2026-11-27\n")
	f.Add("prefix,customer,line,from,until,reseller\n203.0.113.0/29,school,,,,yes\n::ffff:203.0.113.0,x\n")
	f.Fuzz(func(t *testing.T, text string) {
		var all []session.Record
		take := func(r []session.Record) error { all = append(all, r...); return nil }
		res, err := Read(strings.NewReader(text), "dhcp1", every, take)
		if len(all) != res.Taken || len(res.Bad) > MaxBad || len(res.Bad) > res.BadCount || res.Taken+res.LeftOut+res.BadCount > strings.Count(text, "\n")+1 {
			t.Fatalf("%d records, %+v of %d lines", len(all), res, strings.Count(text, "\n")+1)
		}
		for _, r := range all {
			if err := r.Check(); err != nil {
				t.Fatalf("%+v: %v", r, err)
			}
			if r.Who() == "" || len(r.Prefixes) != 1 {
				t.Fatalf("%+v names nobody, or not one prefix", r)
			}
		}
		first := all
		all = nil
		again, err2 := Read(strings.NewReader(text), "dhcp1", every, take)
		if (err == nil) != (err2 == nil) || !reflect.DeepEqual(again, res) || !reflect.DeepEqual(all, first) {
			t.Fatal("read again it is something else")
		}
	})
}
