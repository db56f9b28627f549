package capture

import (
	"bytes"
	"testing"
	"time"
)

func sample() *Bundle {
	b := &Bundle{Capture: Capture{V: 1, URL: "https://a.example/", Profile: Desktop, At: time.Unix(1795608000, 0).UTC(),
		Hops: []Hop{{URL: "https://a.example/", Via: "asked", Address: "192.0.2.1", Status: 200, Header: []Field{{"Server", "x"}}}}}}
	b.Put(Part{Kind: HTML, URL: "https://a.example/", Type: "text/html", Status: 200}, []byte("<title>A</title>"))
	b.Put(Part{Kind: Script, URL: "https://a.example/a.js"}, []byte("1"))
	b.Put(Part{Kind: Script, URL: "https://a.example/b.js"}, []byte("1"))
	return b
}

func TestACaptureIsWrittenTheSameTwice(t *testing.T) {
	first, err := sample().Encode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := Decode(first)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := b.Encode(); !bytes.Equal(first, again) {
		t.Errorf("%q, then %q", first, again)
	}
	if string(b.Of(Script)) != "1" || b.Final() != "https://a.example/" || len(b.Data) != 2 {
		t.Errorf("%+v", b)
	}
	for i := range first {
		bad := bytes.Clone(first)
		bad[i] ^= 1
		if c, err := Decode(bad); err == nil && bytes.Equal(c.Of(HTML), []byte("<title>B</title>")) {
			t.Errorf("octet %d changed unseen", i)
		}
	}
}

func FuzzDecode(f *testing.F) {
	b, _ := sample().Encode()
	f.Add(b)
	f.Add([]byte("{\"v\":1,\"parts\":[{\"size\":-1}]}\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		b, err := Decode(in)
		if err != nil {
			return
		}
		total := 0
		for _, d := range b.Data {
			total += len(d)
		}
		if total > len(in) {
			t.Errorf("%d octets of %d", total, len(in))
		}
		b.Encode()
	})
}
