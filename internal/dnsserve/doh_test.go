package dnsserve

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"net/url"
	"testing"

	"github.com/miekg/dns"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// What one blocked question over HTTPS costs, with a client that costs next to nothing.
func BenchmarkHTTPS(b *testing.B) {
	doors, trust := encrypted(b)
	sv := serve(b, block, func(c *Config) { doors(c); c.ClientRate = 0 }, newWorld(b, plain).addr)
	trust.NextProtos = []string{"h2"}
	c, err := tls.Dial("tcp", sv.doh, trust)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte(http2.ClientPreface))
	f := http2.NewFramer(c, c)
	f.SetReuseFrames()
	f.WriteSettings()
	q, _ := new(dns.Msg).SetQuestion("www.blocked.example.", dns.TypeA).Pack()
	var head bytes.Buffer
	e := hpack.NewEncoder(&head)
	encode := func() []byte {
		head.Reset()
		for _, h := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "dns.example"},
			{":path", dohPath + "?dns=" + base64.RawURLEncoding.EncodeToString(q)}, {"accept", dnsMessage}} {
			e.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]})
		}
		return head.Bytes()
	}
	stream, window := uint32(1), uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: encode(), EndStream: true, EndHeaders: true})
		for done := false; !done; {
			fr, err := f.ReadFrame()
			if err != nil {
				b.Fatal(err)
			}
			switch fr := fr.(type) {
			case *http2.DataFrame:
				done = fr.StreamEnded()
				window += fr.Length
			case *http2.SettingsFrame:
				if !fr.IsAck() {
					f.WriteSettingsAck()
				}
			case *http2.GoAwayFrame, *http2.RSTStreamFrame:
				b.Fatal(fr)
			}
		}
		if stream += 2; window > 1<<15 {
			f.WriteWindowUpdate(0, window)
			window = 0
		}
	}
}

// The parameter is read as net/url reads it.
func FuzzDNSOf(f *testing.F) {
	for _, s := range []string{"dns=AAAB", "a=b&dns=AAAB", "dns", "dns=a&dns=b", "%64ns=AA", "dns=A+B", "dns=a;b", "&&dns=a=b", "=dns"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u := &url.URL{RawQuery: raw}
		if got, want := dnsOf(u), u.Query().Get("dns"); got != want {
			t.Errorf("%q: got %q, want %q", raw, got, want)
		}
	})
}
