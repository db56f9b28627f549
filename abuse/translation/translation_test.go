package translation

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"bolwerk/abuse/session"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

var blocks = []Pattern{{Name: "blocks",
	Start: `NAT_PORT_BLOCK_ALLOC: (?P<inside>\S+) -> (?P<outside>[0-9.]+):(?P<first>\d+)-(?P<last>\d+)`,
	Stop:  `NAT_PORT_BLOCK_RELEASE: (?P<inside>\S+) -> (?P<outside>[0-9.]+):(?P<first>\d+)-(?P<last>\d+)`}}

func TestLines(t *testing.T) {
	l, err := NewLines(blocks)
	if err != nil {
		t.Fatal(err)
	}
	r, ok, err := l.Read([]byte("<14>Nov 26 12:00:00 cgn1 {nat}: JSERVICES_NAT_PORT_BLOCK_ALLOC: 100.64.0.5 -> 203.0.113.7:2048-2559 0x6565"), "cgn1", noon)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	if r.Kind != session.Start || r.Source != session.NAT || r.NAS != "cgn1" || r.Inside != netip.MustParseAddr("100.64.0.5") || r.Prefixes[0] != netip.MustParsePrefix("203.0.113.7/32") || r.Ports != (session.Ports{First: 2048, Last: 2559}) || !r.At.Equal(noon) {
		t.Errorf("given %+v", r)
	}
	s, ok, err := l.Read([]byte("JSERVICES_NAT_PORT_BLOCK_RELEASE: 100.64.0.5 -> 203.0.113.7:2048-2559"), "cgn1", noon)
	if !ok || err != nil || s.Kind != session.Stop || s.Session != r.Session {
		t.Errorf("taken back %+v %v", s, err)
	}
	if _, ok, _ := l.Read([]byte("link up"), "cgn1", noon); ok {
		t.Error("another line is a block")
	}
	for _, bad := range []string{"100.64.0.999 -> 203.0.113.7:1-2", "100.64.0.5 -> 203.0.113.7:99999-99999", "100.64.0.5 -> 203.0.113.7:20-10"} {
		if _, ok, err := l.Read([]byte("NAT_PORT_BLOCK_ALLOC: "+bad), "cgn1", noon); !ok || err == nil {
			t.Errorf("%s: %v %v", bad, ok, err)
		}
	}
	for _, p := range []Pattern{{Start: "("}, {Start: "no groups"}, {}} {
		if _, err := NewLines([]Pattern{p}); err == nil {
			t.Errorf("%+v was taken", p)
		}
	}
}

// message is an IPFIX message of sets.
func message(sets ...[]byte) []byte {
	m := make([]byte, 16)
	binary.BigEndian.PutUint16(m, 10)
	for _, s := range sets {
		m = append(m, s...)
	}
	binary.BigEndian.PutUint16(m[2:], uint16(len(m)))
	return m
}

func set(id uint16, body ...byte) []byte {
	return append(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, id), uint16(4+len(body))), body...)
}

// fields is a template: pairs of an element and its length.
func fields(id uint16, pairs ...uint16) []byte {
	b := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, id), uint16(len(pairs)/2))
	for _, p := range pairs {
		b = binary.BigEndian.AppendUint16(b, p)
	}
	return b
}

var natTemplate = set(2, fields(256, 323, 8, 230, 1, 8, 4, 225, 4, 361, 2, 362, 2)...)

func natRecord(event byte, at time.Time) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(at.UnixMilli()))
	b = append(b, event, 100, 64, 0, 5, 203, 0, 113, 7)
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, 2048), 2559)
}

func TestIPFIX(t *testing.T) {
	x := NewExporter()
	at := noon.Add(-2 * time.Second)
	if out, err := x.Read(message(set(256, natRecord(16, at)...)), "cgn1", noon); err == nil && len(out) > 0 {
		t.Errorf("before its template: %+v", out)
	}
	out, err := x.Read(message(natTemplate, set(256, append(append(natRecord(16, at), natRecord(4, at)...), natRecord(17, noon.Add(-time.Hour))...)...)), "cgn1", noon)
	if err != nil || len(out) != 2 {
		t.Fatalf("%+v: %v", out, err)
	}
	if r := out[0]; r.Kind != session.Start || r.Inside != netip.MustParseAddr("100.64.0.5") || r.Prefixes[0] != netip.MustParsePrefix("203.0.113.7/32") || r.Ports != (session.Ports{First: 2048, Last: 2559}) || !r.At.Equal(at) {
		t.Errorf("given %+v", r)
	}
	if r := out[1]; r.Kind != session.Stop || !r.At.Equal(noon) || r.Session != out[0].Session {
		t.Errorf("taken back %+v: a clock an hour late is not believed", r)
	}
	// Templates whose records have no octets would be read for ever.
	for _, bad := range [][]byte{set(2, fields(257)...), set(2, fields(257, 8, 0)...), set(3, 1, 1, 0, 1, 0, 1, 0, 8, 0, 0)} {
		x.Read(message(bad, set(257, 1, 2, 3, 4)), "cgn1", noon)
	}
}

func FuzzIPFIX(f *testing.F) {
	f.Add(message(natTemplate, set(256, natRecord(16, noon)...)))
	f.Add(message(set(2, fields(257, 8, 0xffff)...), set(257, 4, 1, 2, 3, 4)))
	f.Add(message(set(3, 1, 1, 0, 1, 0, 1, 0, 8, 0, 0), set(257, 1, 2, 3, 4)))
	f.Fuzz(func(t *testing.T, b []byte) {
		x := NewExporter()
		for range 2 {
			out, _ := x.Read(b, "cgn1", noon)
			for _, r := range out {
				if err := r.Check(); err != nil {
					t.Errorf("%+v: %v", r, err)
				}
			}
		}
	})
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("NAT_PORT_BLOCK_ALLOC: 100.64.0.5 -> 203.0.113.7:2048-2559"))
	l, err := NewLines(blocks)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, ok, err := l.Read(b, "cgn1", noon); ok && err == nil && r.Check() != nil {
			t.Errorf("%+v", r)
		}
	})
}
