package rpz

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"bolwerk"
	"bolwerk/internal/clock"

	"github.com/miekg/dns"
)

// FuzzAnswer: no message of a stranger breaks the primary, what comes back is a
// message, and a stranger gets no record.
func FuzzAnswer(f *testing.F) {
	p := newPrimary(f, testConfig(), clock.New())
	mustLoad(f, p, bZone, 3, recs("evil.example "+string(warn4), "*.evil.example CNAME .")...)
	if err := p.Commit(bZone, Change{Serial: 4, Epoch: 1, Add: recs("x.example CNAME .")}); err != nil {
		f.Fatal(err)
	}
	for _, m := range []*dns.Msg{
		new(dns.Msg).SetAxfr("b.rpz."), new(dns.Msg).SetIxfr("b.rpz.", 3, "a.", "b."), new(dns.Msg).SetNotify("b.rpz."),
		new(dns.Msg).SetQuestion("*.evil.example.b.rpz.", dns.TypeANY), new(dns.Msg).SetUpdate("b.rpz."),
	} {
		f.Add(request(f, m), false, false)
		m.SetEdns0(4096, true)
		f.Add(request(f, m), true, true)
		m.SetTsig("key.example.", dns.HmacSHA256, 300, 1)
		signed, _, err := dns.TsigGenerate(m, secret, "", false)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(signed, true, false)
	}
	stranger := netip.MustParseAddr("192.0.2.99")
	f.Fuzz(func(t *testing.T, req []byte, tcp, known bool) {
		from := stranger
		if known {
			from = local
		}
		sent := bytes.Clone(req)
		_ = p.answer(req, from, tcp, func(b []byte) error {
			m := new(dns.Msg)
			if err := m.Unpack(bytes.Clone(b)); err != nil {
				t.Fatalf("answer %x to %x: %v", b, sent, err)
			}
			if !m.Response || m.Id != uint16(sent[0])<<8|uint16(sent[1]) {
				t.Fatalf("answer to another message: %v", m)
			}
			if !known && len(m.Answer)+len(m.Ns) > 0 && m.IsTsig() == nil {
				t.Fatalf("a stranger got %v", m)
			}
			if !tcp && len(b) > maxUDP {
				t.Fatalf("%d octets over UDP", len(b))
			}
			return nil
		})
		if !bytes.Equal(sent, req) {
			t.Fatal("the request was changed")
		}
	})
}

// FuzzParseZone: whatever stands in a list, what is read from it can be
// published, within the limits.
func FuzzParseZone(f *testing.F) {
	for _, s := range []string{
		zoneFile, "$ORIGIN x.\n@ SOA a. b. (1 2 3\n4 5); c\na CNAME .", "\"a b\" TXT \"x;y\"", "a 1h IN CNAME *.\n  A 192.0.2.1",
		"$INCLUDE /etc/passwd", "$GENERATE 1-100000 a$ CNAME .", "((((", "a\\", strings.Repeat("a ", 200),
	} {
		f.Add([]byte(s), "")
		f.Add([]byte(s), "feed.example")
	}
	f.Fuzz(func(t *testing.T, b []byte, origin string) {
		zone, _ := bolwerk.ParseDomain(origin)
		n, bad := 0, 0
		for e, err := range ParseZone(bytes.NewReader(b), zone, Limits{Bytes: 64 << 10, Records: 100, Errors: 10}) {
			if err != nil {
				if bad++; !errors.Is(err, bolwerk.ErrInvalid) && !errors.Is(err, bolwerk.ErrFull) {
					t.Fatalf("kind of %v", err)
				}
				continue
			}
			n++
			if _, _, err := e.Data.wire(); err != nil {
				t.Fatalf("%v: %v", e.Record, err)
			}
			if e.Name.IsZero() || trigger(e.Name) != "" {
				t.Fatalf("%v", e.Record)
			}
		}
		if n > 100 || bad > 12 {
			t.Fatalf("%d records, %d errors", n, bad)
		}
	})
}
