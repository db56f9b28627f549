package dnstap

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

func field(b []byte, num protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
}

func number(b []byte, num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

// tap is a dnstap message as Unbound writes it.
func tap(typ uint64, answer []byte) []byte {
	m := number(nil, 1, typ)
	m = number(m, 2, 1)
	m = field(m, 4, []byte{192, 0, 2, 77}) // who asked
	m = number(m, 6, 4242)
	m = field(m, 14, answer)
	b := field(nil, 1, []byte("resolver-1"))
	return number(field(b, 14, m), 15, 1)
}

func control2(kind uint32, types ...string) []byte {
	var body []byte
	body = binary.BigEndian.AppendUint32(body, kind)
	for _, t := range types {
		body = binary.BigEndian.AppendUint32(body, 1)
		body = binary.BigEndian.AppendUint32(body, uint32(len(t)))
		body = append(body, t...)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0, 0, 0, 0}, uint32(len(body))), body...)
}

func data(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }

func TestFrames(t *testing.T) {
	one, two := tap(6, []byte("answer one")), tap(5, []byte("a question"))
	for name, in := range map[string][]byte{
		"both ways": bytes.Join([][]byte{control2(ready, contentType), control2(start, contentType), data(one), data(two), control2(stop)}, nil),
		"one way":   bytes.Join([][]byte{control2(start, "other", contentType), data(one), data(two), control2(stop)}, nil),
		"any type":  bytes.Join([][]byte{control2(start), data(one), data(two), control2(stop)}, nil),
	} {
		var out bytes.Buffer
		var got []string
		frames := 0
		err := Frames(bytes.NewReader(in), &out, func(b []byte) {
			frames++
			if r, ok := Parse(b); ok {
				got = append(got, string(r.Message))
			}
		})
		if err != nil || frames != 2 || len(got) != 1 || got[0] != "answer one" {
			t.Errorf("%s: got %d frames, %q, %v", name, frames, got, err)
		}
		if want := control2(finish); !bytes.HasSuffix(out.Bytes(), want) {
			t.Errorf("%s: we answered %x, want it to end with FINISH", name, out.Bytes())
		}
		if name == "both ways" && !bytes.HasPrefix(out.Bytes(), control2(accept, contentType)) {
			t.Errorf("we answered %x, want ACCEPT first", out.Bytes())
		}
	}
	for name, in := range map[string][]byte{
		"another type":   control2(start, "protobuf:other"),
		"no start":       data(one),
		"long frame":     append(control2(start), 0x7f, 0, 0, 0),
		"long control":   {0, 0, 0, 0, 0, 1, 0, 0},
		"unknown":        control2(9),
		"lies of length": {0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 2, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff},
		"cut":            append(control2(start), 0, 0, 0, 9, 1),
	} {
		if err := Frames(bytes.NewReader(in), io.Discard, func([]byte) {}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// powerdns is a message as PowerDNS Recursor writes it.
func powerdns(typ uint64, name, policy string) []byte {
	m := number(nil, 1, typ)
	m = field(m, 6, []byte{192, 0, 2, 77}) // who asked
	m = field(m, 12, number(field(nil, 1, []byte(name)), 2, 1))
	return field(m, 13, field(number(nil, 1, 0), 3, []byte(policy)))
}

func TestPowerDNS(t *testing.T) {
	var in []byte
	for _, m := range [][]byte{powerdns(1, "bad.example.", ""), powerdns(2, "bad.example.", "h.rpz."), powerdns(2, "good.example.", "")} {
		in = append(binary.BigEndian.AppendUint16(in, uint16(len(m))), m...)
	}
	var got []Response
	if err := PowerDNS(bytes.NewReader(in), func(r Response) { got = append(got, r) }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Name != "bad.example." || got[0].Policy != "h.rpz" || got[1].Policy != "" {
		t.Errorf("got %+v", got)
	}
}

var logLines = []struct{ line, name, policy string }{
	{"26-Nov-2026 13:27:48.453 client @0x7f0817ed4c98 192.0.2.77#58259 (a.bad.example): rpz QNAME Local-Data rewrite a.bad.example/A/IN via *.bad.example.h.rpz", "a.bad.example", "h.rpz"},
	{"client @0x7f 192.0.2.77#1 (bad.example): view inside: rpz QNAME NXDOMAIN rewrite bad.example/AAAA/IN via bad.example.b.rpz", "bad.example", "b.rpz"},
	{"client @0x7f 192.0.2.77#1 (own.example): rpz QNAME PASSTHRU rewrite own.example/A/IN via own.example.p.rpz", "", ""},
	{"[1764163668] unbound[17509:0] info: rpz: applied [b.rpz] bad.example. rpz-local-data 192.0.2.77@4242 bad.example. A IN", "bad.example", "b.rpz"},
	{"Nov 26 13:31:26 unbound[1:0] info: rpz: applied [p.rpz] own.example. rpz-passthru 192.0.2.77@4242 own.example. A IN", "", ""},
	{"client @0x7f 192.0.2.77#1 (bad.example): query: bad.example IN A +E(0)K", "", ""},
	{"rpz: applied [b.rpz]", "", ""},
	{"", "", ""},
}

func TestParseLog(t *testing.T) {
	for _, c := range logLines {
		r, ok := ParseLog(c.line)
		if ok != (c.name != "") || ok && (r.Name != c.name || r.Policy != c.policy) {
			t.Errorf("%q: got %+v %v, want %s of %s", c.line, r, ok, c.name, c.policy)
		}
	}
}

// Whatever stands in a line, what comes out of it stands there as a word of its own
// or a part of one, and is never the address of who asked.
func FuzzParseLog(f *testing.F) {
	for _, c := range logLines {
		f.Add(c.line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r, ok := ParseLog(line)
		if ok && (r.Name == "" || r.Policy == "" || !strings.Contains(line, r.Name) || !strings.Contains(line, r.Policy)) {
			t.Errorf("%q: got %+v", line, r)
		}
	})
}

// What is no frame stream ends it; what is one gives frames within the bound.
func FuzzFrames(f *testing.F) {
	f.Add(bytes.Join([][]byte{control2(ready, contentType), control2(start, contentType), data(tap(6, []byte("x"))), control2(stop)}, nil))
	f.Add(powerdns(2, "bad.example.", "h.rpz."))
	f.Fuzz(func(t *testing.T, b []byte) {
		sum := 0
		_ = Frames(bytes.NewReader(b), io.Discard, func(frame []byte) {
			if sum += len(frame) + 4; len(frame) > MaxFrame || sum > len(b) {
				t.Errorf("a frame of %d octets, %d in all of %d", len(frame), sum, len(b))
			}
			Parse(frame)
		})
		_ = PowerDNS(bytes.NewReader(b), func(r Response) {
			if r.Name == "" {
				t.Error("an answer to nothing")
			}
		})
	})
}

// A message gives its answer, whatever else is in it, and cut anywhere never
// another one.
func FuzzParse(f *testing.F) {
	f.Add([]byte("answer"), []byte("identity"), uint64(6), 3)
	f.Fuzz(func(t *testing.T, answer, other []byte, typ uint64, cut int) {
		b := field(tap(typ, answer), 3, other)
		r, ok := Parse(b)
		if ok != (typ == 6 && len(answer) > 0) || ok && !bytes.Equal(r.Message, answer) {
			t.Errorf("type %d, %q: got %+v %v", typ, answer, r, ok)
		}
		if cut >= 0 && cut < len(b) {
			if r, ok := Parse(b[:cut]); ok && !bytes.Equal(r.Message, answer) {
				t.Errorf("cut at %d: got %q", cut, r.Message)
			}
		}
	})
}
