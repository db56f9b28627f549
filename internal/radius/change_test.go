package radius_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	. "bolwerk/internal/radius"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func change() []byte {
	return Change(CoARequest, 9, noon, []Attribute{{AcctSessionID, []byte("0000a1")}, {UserName, []byte("anna")}, Vendor(14988, 19, []byte("leaky")), {ProxyState, []byte("a")}}, secret)
}

func TestAChangeIsSignedAndDated(t *testing.T) {
	b := change()
	p, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	at, ok := p.Time(EventTimestamp)
	if !p.Signed() || !p.Verify(secret) || p.Verify([]byte("another")) || !ok || !at.Equal(noon) {
		t.Errorf("%+v: signed %v, dated %v", p, p.Signed(), at)
	}
	if got := p.Vendors(14988, 19); len(got) != 1 || string(got[0]) != "leaky" || len(p.Vendors(14988, 18)) != 0 || len(p.Vendors(9, 19)) != 0 {
		t.Errorf("vendor's attributes %q", got)
	}
	for i := range b {
		c := slices.Clone(b)
		c[i] ^= 1
		if p, err := Parse(c); err == nil && p.Verify(secret) {
			t.Errorf("octet %d changed, and taken", i)
		}
	}
}

func TestOnlyAnAnswerOfWhoKnowsTheSecretIsTaken(t *testing.T) {
	b := change()
	p, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	nak := p.Reply(CoANAK, []Attribute{Whole(ErrorCause, CauseSessionContextNotFound)}, true, secret)
	got, err := Changed(nak, b, secret)
	if err != nil || got.Code != CoANAK {
		t.Fatalf("%+v, %v", got, err)
	}
	if n, ok := got.Number(ErrorCause); !ok || n != 503 || string(got.Get(ProxyState)) != "a" {
		t.Errorf("cause %d, Proxy-State %q", n, got.Get(ProxyState))
	}
	for i := range nak {
		c := slices.Clone(nak)
		c[i] ^= 1
		if _, err := Changed(c, b, secret); err == nil {
			t.Errorf("octet %d changed, and taken", i)
		}
	}
	for name, c := range map[string]struct {
		answer []byte
		want   error
	}{
		"another secret":            {p.Reply(CoAACK, nil, true, []byte("another")), ErrForged},
		"without a signature":       {p.Reply(CoAACK, nil, false, secret), ErrUnsigned},
		"unsigned, and forged":      {p.Reply(CoAACK, nil, false, []byte("another")), ErrForged},
		"of a disconnection":        {p.Reply(DisconnectACK, nil, true, secret), ErrOther},
		"a request":                 {b, ErrOther},
		"a signature of its own":    {p.Reply(CoAACK, []Attribute{{MessageAuthenticator, make([]byte, 16)}}, false, secret), ErrForged},
		"an accounting's, of sorts": {p.Answer(secret), ErrOther},
	} {
		if _, err := Changed(c.answer, b, secret); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestACauseIsSaidInWords(t *testing.T) {
	for n, want := range map[uint32]string{503: "503 session context not found", 999: "999"} {
		if got := Cause(n); got != want {
			t.Errorf("%d: %q want %q", n, got, want)
		}
	}
}

func FuzzChanged(f *testing.F) {
	b := change()
	p, _ := Parse(b)
	f.Add(p.Reply(CoAACK, nil, true, secret))
	f.Add(p.Reply(CoANAK, []Attribute{Whole(ErrorCause, 503), Vendor(9, 1, []byte("x"))}, false, secret))
	f.Add([]byte{45, 9, 0, 20})
	f.Fuzz(func(t *testing.T, answer []byte) {
		got, err := Changed(answer, b, secret)
		if err != nil {
			return
		}
		got.Number(ErrorCause)
		got.Vendors(9, 1)
		if got.ID != b[1] || !got.Signed() {
			t.Errorf("taken: %+v", got)
		}
	})
}
