package radius_test

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	. "bolwerk/internal/radius"
)

var secret = []byte("testing123")

func attrs() []Attribute {
	return []Attribute{{UserName, []byte("anna@isp.example")}, {AcctStatusType, []byte{0, 0, 0, 1}}, {AcctSessionID, []byte("0000a1")},
		{FramedIPAddress, []byte{198, 51, 100, 7}}, {DelegatedIPv6Prefix, []byte{0, 56, 0x20, 1, 0xd, 0xb8, 0, 0, 1}},
		{FramedIPv6Prefix, append([]byte{0, 64}, netip.MustParseAddr("2001:db8:1:2::").AsSlice()...)},
		{FramedIPv6Address, netip.MustParseAddr("2001:db8:1:2::9").AsSlice()}, {ProxyState, []byte("b")}, {ProxyState, []byte("a")}}
}

func TestWhoKnowsTheSecretIsAnswered(t *testing.T) {
	for _, signed := range []bool{false, true} {
		b := Request(7, attrs(), signed, secret)
		p, err := Parse(append(slices.Clone(b), 0, 0, 0)) // padding
		if err != nil || p.Code != AccountingRequest || p.ID != 7 || p.Signed() != signed {
			t.Fatalf("%+v %v", p, err)
		}
		if !p.Verify(secret) || p.Verify([]byte("another")) {
			t.Errorf("signed %v: the right secret %v, a wrong one %v", signed, p.Verify(secret), p.Verify([]byte("another")))
		}
		answer := p.Answer(secret)
		if !Answers(answer, b, secret) || Answers(answer, b, []byte("another")) {
			t.Errorf("signed %v: the answer does not fit", signed)
		}
		back, err := Parse(answer)
		if err != nil {
			t.Fatal(err)
		}
		var states []string
		for _, a := range back.Attributes {
			if a.Type == ProxyState {
				states = append(states, string(a.Value))
			}
		}
		if !slices.Equal(states, []string{"b", "a"}) || back.Signed() {
			t.Errorf("Proxy-States %q, signed %v", states, back.Signed())
		}
		for i := range b { // no octet can be changed
			c := slices.Clone(b)
			c[i] ^= 1
			if p, err := Parse(c); err == nil && p.Verify(secret) {
				t.Errorf("signed %v: octet %d changed, and taken", signed, i)
			}
		}
	}
}

// A Message-Authenticator that is wrong counts, even where the request's own fits.
func TestAWrongMessageAuthenticatorIsRefused(t *testing.T) {
	b := Request(1, append([]Attribute{{MessageAuthenticator, make([]byte, 16)}}, attrs()...), false, secret)
	p, err := Parse(b)
	if err != nil || p.Verify(secret) {
		t.Errorf("taken (%v)", err)
	}
}

func TestPrefixes(t *testing.T) {
	p, err := Parse(Request(1, append(attrs(), Attribute{FramedIPAddress, []byte{255, 255, 255, 254}}, Attribute{FramedIPAddress, []byte{0, 0, 0, 0}},
		Attribute{DelegatedIPv6Prefix, []byte{0, 129}}, Attribute{DelegatedIPv6Prefix, []byte{0, 56, 0x20}}, Attribute{DelegatedIPv6Prefix, []byte{0, 4, 0xff}}), false, secret))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range p.Prefixes() {
		got = append(got, n.String())
	}
	if want := []string{"198.51.100.7/32", "2001:db8:0:100::/56", "2001:db8:1:2::/64", "2001:db8:1:2::9/128"}; !slices.Equal(got, want) {
		t.Errorf("got %q want %q", got, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Request(7, attrs(), true, secret))
	f.Add(Request(7, nil, false, secret))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		for _, n := range p.Prefixes() {
			if !n.IsValid() || n != n.Masked() || n.Bits() == 0 {
				t.Errorf("prefix %v", n)
			}
		}
		p.Verify(secret)
		// What was read can be written again, and is read the same.
		again, err := Parse(Request(p.ID, p.Attributes, false, secret))
		if err != nil || len(again.Attributes) != len(p.Attributes) {
			t.Fatalf("%x: %v", b, err)
		}
		for i, a := range again.Attributes {
			if a.Type != p.Attributes[i].Type || !bytes.Equal(a.Value, p.Attributes[i].Value) {
				t.Errorf("attribute %d: %v, was %v", i, a, p.Attributes[i])
			}
		}
		if p.Code == AccountingRequest && !Answers(p.Answer(secret), b, secret) {
			t.Error("our own answer does not fit")
		}
	})
}
