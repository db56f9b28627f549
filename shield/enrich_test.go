package shield

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"math/big"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/store"
	"bolwerk/shield/judge"
)

// outside is a registry and a certificate log in one, over TLS.
type outside struct {
	created string // of every domain; "" breaks the registry
	servers []string
	certs   [][]byte
}

func (o *outside) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch name, ok := strings.CutPrefix(r.URL.Path, "/domain/"); {
	case ok && o.created == "":
		http.Error(w, "broken", http.StatusBadGateway)
	case ok:
		var servers []string
		for _, n := range o.servers {
			servers = append(servers, fmt.Sprintf(`{"ldhName":%q}`, n))
		}
		fmt.Fprintf(w, `{"objectClassName":"domain","ldhName":%q,"events":[{"eventAction":"registration","eventDate":%q}],"nameservers":[%s],"entities":[{"roles":["registrar"],"vcardArray":["vcard",[["fn",{},"text","Cheap Names"]]]}]}`, name, o.created, strings.Join(servers, ","))
	case r.URL.Path == "/checkpoint":
		fmt.Fprintf(w, "log\n%d\nroot\n", len(o.certs))
	case strings.HasPrefix(r.URL.Path, "/tile/data/000.p/"):
		for _, der := range o.certs {
			b := binary.BigEndian.AppendUint64(nil, uint64(start.UnixMilli()))
			b = append(b, 0, 0, byte(len(der)>>16), byte(len(der)>>8), byte(len(der)))
			w.Write(append(append(b, der...), 0, 0, 0, 0))
		}
	default:
		http.NotFound(w, r)
	}
}

func (o *outside) certificate(t *testing.T, names ...string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names, NotBefore: start, NotAfter: start.AddDate(0, 3, 0)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	o.certs = append(o.certs, der)
}

// outsideOf gives a shield that may ask.
func outsideOf(t *testing.T, s *testShield) *outside {
	o := &outside{created: start.AddDate(0, 0, -5).Format(time.RFC3339)}
	srv := httptest.NewTLSServer(o)
	t.Cleanup(srv.Close)
	s.file("dns.json", `{"services":[[["example"],["`+srv.URL+`/"]]]}`)
	s.cfg.Lookup = LookupConfig{RDAP: filepath.Join(s.dir, "dns.json"), PerMinute: 6000, Logs: []CTLog{{Name: "tiles", URL: srv.URL, Static: true}}}
	s.asker = srv.Client()
	return o
}

// ask does one round of look-ups.
func (s *testShield) ask() {
	s.t.Helper()
	boot, err := s.cfg.Lookup.bootstrap()
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.lookSome(s.t.Context(), boot, &pace{}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *testShield) evidence(value string, family judge.Family) (out []judge.Evidence) {
	s.t.Helper()
	err := s.db.Read(s.t.Context(), func(tx *store.Tx) error {
		var id string
		if err := tx.Row(`select id from shield_observable where value=$1`, value).Scan(&id); err != nil {
			return err
		}
		all, err := evidenceOf(tx, id)
		for _, e := range all {
			if e.Family == family {
				out = append(out, e)
			}
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func TestAYoungDomainIsEvidenceOfTier3(t *testing.T) {
	s := newShield(t)
	o := outsideOf(t, s)
	s.report(lure("Your parcel", "https://in.parcels-now.example/a"))
	s.ask()
	e := s.evidence("in.parcels-now.example", judge.FamilyRegistration)
	if len(e) != 1 || e[0].Reason != "young" || e[0].Tier != 3 || e[0].Verdict != judge.Suspicious || !strings.Contains(e[0].Detail, "5 days ago") {
		t.Fatalf("%+v", e)
	}
	// A second one of the same domain hears of it without another question.
	o.created = ""
	s.ask()
	if e := s.evidence("in.parcels-now.example", judge.FamilyRegistration); e[0].Reason != "young" {
		t.Errorf("%+v", e)
	}
}

func TestARegistryThatDoesNotAnswerIsNeverClean(t *testing.T) {
	s := newShield(t)
	o := outsideOf(t, s)
	o.created = ""
	s.report(lure("Your card is stopped", "https://anchorbank-in.example/a"))
	s.ask()
	e := s.evidence("anchorbank-in.example", judge.FamilyRegistration)
	if len(e) != 1 || e[0].Verdict != judge.Failed {
		t.Fatalf("%+v", e)
	}
	o.created = start.AddDate(-3, 0, 0).Format(time.RFC3339)
	s.ask() // not due yet
	if e := s.evidence("anchorbank-in.example", judge.FamilyRegistration); e[0].Verdict != judge.Failed {
		t.Fatalf("%+v", e)
	}
	s.clock.Add(askFailed)
	s.ask()
	if e := s.evidence("anchorbank-in.example", judge.FamilyRegistration); len(e) != 1 || e[0].Reason != "registered" {
		t.Fatalf("%+v", e)
	}
	q, err := s.Queue(t.Context(), QueueFilter{}, "", 10)
	if err != nil || len(q) != 1 || q[0].Scope != bolwerk.ScopeHost {
		t.Errorf("%+v, %v", q, err)
	}
}

func TestNewCertificatesNearABrandAreKept(t *testing.T) {
	s := newShield(t)
	o := outsideOf(t, s)
	o.certificate(t, "before.anchorbank-old.example") // before we followed
	follow := func() {
		t.Helper()
		if err := s.followLog(t.Context(), s.cfg.Lookup.Logs[0]); err != nil {
			t.Fatal(err)
		}
	}
	follow()
	s.report(lure("Your card is stopped", "https://anchorbank-login.example/a"))
	o.certificate(t, "anchorbank-login.example", "www.anchorbank-login.example")
	o.certificate(t, "harbour-fish.example")
	o.certificate(t, "www.anchorbank.example")
	follow()
	follow() // nothing twice
	names, err := s.NearNames(t.Context(), NearFilter{})
	if err != nil || len(names) != 1 || names[0].Name.String() != "anchorbank-login.example" || names[0].Brand != "Anchor Bank" || names[0].Nth != 1 || names[0].Case == "" {
		t.Fatalf("%+v, %v", names, err)
	}
	if e := s.evidence("anchorbank-login.example", judge.FamilyCertificate); len(e) != 1 || e[0].Reason != "new_certificate" || e[0].Tier != 3 {
		t.Errorf("%+v", e)
	}
	if err := s.PutAside(t.Context(), bolwerk.Person("ann"), names[0].Name); err != nil {
		t.Fatal(err)
	}
	if names, _ = s.NearNames(t.Context(), NearFilter{}); len(names) != 0 {
		t.Errorf("%+v", names)
	}
}

// TestAnAnswerAfterTheDecision: it stands with the case and in its trail. What a
// person decided stays; what a rule would not have blocked is a person's again.
func TestAnAnswerAfterTheDecision(t *testing.T) {
	for _, years := range []int{0, -3} {
		s := byRule(t, judge.On)
		o := outsideOf(t, s)
		o.created = ""
		who := Decider(s.person("anna", account.Analyst))
		s.decide(fake)
		s.report(lure("Your card", "https://anchorbank-mine.example/a"))
		if _, err := s.Confirm(t.Context(), who, Confirm{Name: bolwerk.MustDomain("anchorbank-mine.example"), Reason: "seen"}); err != nil {
			t.Fatal(err)
		}
		s.ask() // nobody answers
		s.clock.Add(askFailed)
		o.created = start.AddDate(years, 0, -5).Format(time.RFC3339)
		s.ask()
		want := InForce
		if years < 0 {
			want = Suspended
		}
		for name, want := range map[string]State{fake: want, "anchorbank-mine.example": InForce} {
			b, c := s.blockOf(name), s.theCase(name)
			if b.State != want || (want == InForce) != (c.State == desk.Decided) {
				t.Errorf("%d years: %s is %s, its case %s", years, name, b.State, c.State)
			}
			e := s.evidence(name, judge.FamilyRegistration)
			if len(e) != 1 || e[0].Verdict == judge.Failed {
				t.Errorf("%s: %+v", name, e)
			}
			if got := s.one(`select count(*) from audit where action='shield.case.told' and object=$1`, c.Ref); got != "1" {
				t.Errorf("%s was told %s times", name, got)
			}
		}
	}
}

// TestSiblings_of_registration_and_shape: a name of a new certificate that nobody
// reported is proposed where its shape, or its registration on the same day, is a
// campaign's.
func TestSiblings_of_registration_and_shape(t *testing.T) {
	s := newShield(t)
	o := outsideOf(t, s)
	o.servers = []string{"ns1.cheap.example", "ns2.cheap.example"}
	if err := s.followLog(t.Context(), s.cfg.Lookup.Logs[0]); err != nil {
		t.Fatal(err)
	}
	s.report(lure("Your card is stopped", "https://anchorbank-secure12.example/a"))
	s.ask()
	campaign, _ := s.campaignOfName("anchorbank-secure12.example")
	o.certificate(t, "anchorbank-secure77.example")
	o.certificate(t, "my-anchorbank.example")
	if err := s.followLog(t.Context(), s.cfg.Lookup.Logs[0]); err != nil {
		t.Fatal(err)
	}
	s.ask()
	o.created = start.AddDate(0, 0, -9).Format(time.RFC3339) // days apart
	o.certificate(t, "our-anchorbank.example")
	if err := s.followLog(t.Context(), s.cfg.Lookup.Logs[0]); err != nil {
		t.Fatal(err)
	}
	s.ask()
	v, err := s.Campaign(t.Context(), campaign)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, b := range v.Siblings {
		got[b.Name.String()] = b.Why + " " + b.Beside
	}
	if len(got) != 2 || got["anchorbank-secure77.example"] != "template {brand}-secureN.example" || got["my-anchorbank.example"] != "registration anchorbank-secure12.example" {
		t.Errorf("got %v", got)
	}
	if !slices.ContainsFunc(v.Traits, func(k judge.Key) bool { return k.Kind == judge.KeyRegister }) {
		t.Errorf("it does not know how its names are registered: %v", v.Traits)
	}
}
