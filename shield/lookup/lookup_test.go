package lookup

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"bolwerk"
)

func domain(t testing.TB, s string) bolwerk.Domain {
	t.Helper()
	d, err := bolwerk.ParseDomain(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const answer = `{"objectClassName":"domain","ldhName":"MERELBANK-VERIFY.EXAMPLE","status":["active"],
 "events":[{"eventAction":"registration","eventDate":"2026-11-20T10:00:00Z"},{"eventAction":"expiration","eventDate":"2027-11-20T10:00:00Z"},{"eventAction":"registration of a moon","eventDate":"x"}],
 "nameservers":[{"ldhName":"NS2.CHEAP.EXAMPLE."},{"ldhName":"ns1.cheap.example"}],
 "entities":[{"roles":["registrar"],"vcardArray":["vcard",[["version",{},"text","4.0"],["fn",{},"text","Cheap Names\u0000 Ltd"]]],
   "publicIds":[{"type":"IANA Registrar ID","identifier":"9999"}],
   "entities":[{"roles":["abuse"],"vcardArray":["vcard",[["fn",{},"text","Abuse"],["email",{},"text","abuse@cheap.example"],["email",{},"text","a, b@c"]]]}]}]}`

func TestARegistrationIsRead(t *testing.T) {
	var asked string
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Path
		if strings.HasSuffix(r.URL.Path, "nobody.example") {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, answer)
	}))
	defer srv.Close()
	boot, err := ParseBootstrap(strings.NewReader(`{"services":[[["example","co.example"],["http://plain.example/","` + srv.URL + `/rdap/"]],[["x"],[]],[[]]]}`))
	if err != nil {
		t.Fatal(err)
	}
	r, err := boot.Ask(t.Context(), srv.Client(), domain(t, "merelbank-verify.example"))
	if err != nil || asked != "/rdap/domain/merelbank-verify.example" {
		t.Fatalf("%v, asked %q", err, asked)
	}
	if !r.Created.Equal(time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)) || r.Registrar != "Cheap Names  Ltd" || r.IANA != "9999" ||
		!slices.Equal(r.Abuse, []string{"abuse@cheap.example"}) || !slices.Equal(r.Servers, []string{"ns1.cheap.example", "ns2.cheap.example"}) {
		t.Errorf("%+v", r)
	}
	if _, err := boot.Ask(t.Context(), srv.Client(), domain(t, "nobody.example")); !errors.Is(err, ErrUnregistered) {
		t.Error(err)
	}
	if _, err := boot.Ask(t.Context(), srv.Client(), domain(t, "other.example")); err == nil || !strings.Contains(err.Error(), "answered for") {
		t.Errorf("an answer about another name was taken: %v", err)
	}
	if _, err := boot.Ask(t.Context(), srv.Client(), domain(t, "a.invalid")); !errors.Is(err, ErrNoServer) {
		t.Error(err)
	}
}

var key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)

func cert(t testing.TB, poison bool, names ...string) []byte {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, NotBefore: time.Unix(1795600000, 0), NotAfter: time.Unix(1895600000, 0)}
	if poison {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 3}, Critical: true, Value: asn1.NullBytes}}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func vector(octets int, v []byte) []byte {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(v)))
	return append(n[8-octets:], v...)
}

// timestamped is a TimestampedEntry without its extensions.
func timestamped(kind uint16, der []byte) []byte {
	b := binary.BigEndian.AppendUint64(nil, 1795608000123)
	b = binary.BigEndian.AppendUint16(b, kind)
	if kind == precertEntry {
		b = append(b, make([]byte, 32)...)
		der = []byte("the certificate to be, not read")
	}
	return append(b, vector(3, der)...)
}

func tileLeaf(kind uint16, der []byte) []byte {
	b := append(timestamped(kind, der), vector(2, []byte("ext"))...)
	if kind == precertEntry {
		b = append(b, vector(3, der)...)
	}
	return append(b, vector(2, make([]byte, 64))...)
}

func TestBothKindsOfLogsAreRead(t *testing.T) {
	plain, pre := cert(t, false, "merelbank-verify.example", "*.merelbank-verify.example"), cert(t, true, "pre.example")
	type entry struct {
		Leaf  string `json:"leaf_input"`
		Extra string `json:"extra_data"`
	}
	enc := base64.StdEncoding.EncodeToString
	leaf := func(kind uint16, der []byte) string {
		return enc(append([]byte{0, 0}, append(timestamped(kind, der), 0, 0)...))
	}
	var tile []byte
	for i := range 258 {
		switch {
		case i == 2:
			tile = append(tile, tileLeaf(x509Entry, []byte("no certificate"))...)
		case i%2 == 0:
			tile = append(tile, tileLeaf(x509Entry, plain)...)
		default:
			tile = append(tile, tileLeaf(precertEntry, pre)...)
		}
	}
	full, rest := 0, tile
	for range 256 {
		_, r, _ := parseTileLeaf(rest)
		full, rest = len(tile)-len(r), r
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.String() {
		case "/checkpoint":
			fmt.Fprint(w, "log.example/2026\n258\nAAAA\n\n- sig\n")
		case "/tile/data/000":
			w.Write(tile[:full])
		case "/tile/data/001.p/2":
			w.Write(tile[full:])
		case "/ct/v1/get-sth":
			fmt.Fprint(w, `{"tree_size":3}`)
		case "/ct/v1/get-entries?start=1&end=2":
			json.NewEncoder(w).Encode(map[string]any{"entries": []entry{
				{leaf(precertEntry, nil), enc(append(vector(3, pre), 0, 0, 0))}, {leaf(x509Entry, plain), ""}}})
		default:
			http.NotFound(w, r)
		}
	}))
	defer srv.Close()
	l := Log{Client: srv.Client(), URL: srv.URL}
	size, err := l.Size(t.Context())
	if err != nil || size != 3 {
		t.Fatal(size, err)
	}
	got, next, err := l.Read(t.Context(), 1, size)
	if err != nil || next != 3 || len(got) != 2 || got[0].Index != 1 || !slices.Equal(got[0].Names, []string{"pre.example"}) || !slices.Equal(got[1].Names, []string{"merelbank-verify.example"}) ||
		!got[0].At.Equal(time.UnixMilli(1795608000123)) {
		t.Errorf("%+v, next %d, %v", got, next, err)
	}
	l.Static = true
	if size, err = l.Size(t.Context()); err != nil || size != 258 {
		t.Fatal(size, err)
	}
	got, next, err = l.Read(t.Context(), 1, size)
	if err != nil || next != 256 || len(got) != 254 || got[0].Index != 1 || got[1].Index != 3 { // 2 cannot be read
		t.Errorf("%d, next %d, %v", len(got), next, err)
	}
	if got, next, err = l.Read(t.Context(), 256, size); err != nil || next != 258 || len(got) != 2 {
		t.Errorf("%d, next %d, %v", len(got), next, err)
	}
	if _, _, err := l.Read(t.Context(), 258, size); err == nil {
		t.Error("read behind the end")
	}
}

func TestTilesAreNamed(t *testing.T) {
	for n, want := range map[int64]string{0: "000", 999: "999", 1000: "x001/000", 1234067: "x001/x234/067"} {
		if got := tileName(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func FuzzRegistration(f *testing.F) {
	f.Add([]byte(answer))
	f.Add([]byte(`{"objectClassName":"domain","ldhName":"a.example","entities":[{"entities":[{"vcardArray":[1,[[]]]}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRegistration(b)
		if err != nil {
			return
		}
		for _, s := range append(r.Abuse, r.Registrar, r.IANA) {
			if strings.ContainsAny(s, "\r\n\x00") || len(s) > 200 {
				t.Errorf("%q", s)
			}
		}
	})
}

func FuzzTileLeaf(f *testing.F) {
	f.Add(tileLeaf(x509Entry, cert(f, false, "a.example")))
	f.Add(tileLeaf(precertEntry, cert(f, true, "a.example")))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, rest, err := parseTileLeaf(b)
		if !errors.Is(err, errCut) && len(rest) >= len(b) || len(e.Names) > maxNames {
			t.Errorf("%d of %d octets left, %v", len(rest), len(b), err)
		}
		parseLeaf(b, b)
	})
}

const network = `{"objectClassName":"ip network","handle":"NET-1","name":"HOSTER","startAddress":"198.51.100.0","endAddress":"198.51.100.255",
 "entities":[{"roles":["registrant"],"entities":[{"roles":["abuse"],"vcardArray":["vcard",[["fn",{},"text","Abuse desk"],["email",{},"text","abuse@hoster.example"]]]}]}]}`

func TestANetworkIsAskedForItsAbuseContact(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ip/198.51.100.7" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.Write([]byte(network))
	}))
	defer srv.Close()
	nets, err := ParseNetworks(strings.NewReader(`{"services":[[["198.0.0.0/8"],["https://other.example/"]],[["198.51.100.0/24","x"],["http://plain.example/","` + srv.URL + `/"]]]}`))
	if err != nil {
		t.Fatal(err)
	}
	n, err := nets.AskNetwork(t.Context(), srv.Client(), netip.MustParseAddr("::ffff:198.51.100.7"))
	if err != nil || n.Name != "HOSTER" || len(n.Abuse) != 1 || n.Abuse[0] != "abuse@hoster.example" || n.From != srv.URL {
		t.Errorf("got %+v %v", n, err)
	}
	if _, err := nets.AskNetwork(t.Context(), srv.Client(), netip.MustParseAddr("192.0.2.1")); !errors.Is(err, ErrNoServer) {
		t.Errorf("an address that no file knows: %v", err)
	}
	if _, err := ParseNetwork([]byte(network), netip.MustParseAddr("203.0.113.1")); err == nil {
		t.Error("an answer about another network was taken")
	}
	for _, bad := range []string{"", "{}", `{"services":[[["10.0.0.0/8"],["http://x/"]]]}`} {
		if _, err := ParseNetworks(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzNetwork(f *testing.F) {
	f.Add([]byte(network))
	f.Add([]byte(`{"objectClassName":"ip network","startAddress":"::","endAddress":"ffff::","entities":[{"roles":["abuse"],"vcardArray":[1,[[]]]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, a := range []string{"198.51.100.7", "2001:db8::1"} {
			n, err := ParseNetwork(b, netip.MustParseAddr(a))
			if err != nil {
				continue
			}
			for _, s := range append(n.Abuse, n.Name, n.Handle) {
				if strings.ContainsAny(s, "\r\n\x00") || len(s) > 200 {
					t.Errorf("%q", s)
				}
			}
		}
	})
}
