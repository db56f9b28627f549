package contact

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/notice"
	"bolwerk/abuse/session"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/factlog"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
	"bolwerk/internal/vault"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

const small = `subscriber,name,mail,phone,street,postcode,city,country,lang,channels,vulnerable,reseller,abuse_mail,never
anna,"Voorbeeld, Anna",anna@home.example,+32 470 00 00 00,Kerkstraat 1,1000,Brussel,be,nl,mail letter,yes,,,
wholesale,Wholesale,,,,,,,,,,true,abuse@reseller.example,
hospital,Ziekenhuis,,,,,,,,,,,,yes
`

func TestRead(t *testing.T) {
	var got []Entry
	res, err := Read(strings.NewReader(small), func(all []Entry) error { got = append(got, all...); return nil })
	if err != nil || res.Taken != 3 || res.BadCount != 0 || len(got) != 3 {
		t.Fatalf("%+v, %v", res, err)
	}
	if e := got[0]; e.Name != "Voorbeeld, Anna" || e.Country != "BE" || e.Lang != bolwerk.NL || len(e.Channels) != 2 || !e.Vulnerable || e.Never {
		t.Errorf("anna is %+v", e)
	}
	if !got[1].Reseller || !got[2].Never {
		t.Errorf("flags %+v %+v", got[1], got[2])
	}
	got = nil
	res, err = Read(strings.NewReader(`{"subscriber":"anna","mail":"anna@home.example","channels":["sms"],"phone":"+32470000000","never":true}`+"\n"), func(all []Entry) error { got = append(got, all...); return nil })
	if err != nil || res.Taken != 1 || got[0].Channels[0] != notice.SMS || !got[0].Never {
		t.Errorf("a line of JSON: %+v %+v, %v", res, got, err)
	}
}

// Each line that is not taken is named with its field, and never with what stands in it.
func TestReadRefuses(t *testing.T) {
	const head = "subscriber,mail,phone,lang,channels,reseller,country\n"
	for line, want := range map[string]string{
		"anna,not-one,,,,,":                         "mail",
		"anna,,0470 00,,,,":                         "phone",
		"anna,,,pl,,,":                              "lang",
		"anna,,,,pigeon,,":                          "channels",
		"anna,,,,mail mail,,":                       "channels",
		"anna,,,,,yes,":                             "abuse_mail",
		"anna,,,,,maybe,":                           "reseller",
		"anna,,,,,,BEL":                             "country",
		",a@b.example,,,,,":                         "subscriber",
		"anna,a@b.example":                          "columns",
		`"anna,,,,,,`:                               "quote",
		`{"subscriber":"anna","secret":"x"}`:        "not known",
		`{"subscriber":7}`:                          "subscriber",
		`{"subscriber":"a"}{"subscriber":"b"}`:      "more than one",
		`{"subscriber"`:                             "JSON",
		strings.Repeat("a", 300) + ",,,,,,":         "subscriber",
		`{"subscriber":"a","name":"two\nlines"}`:    "name",
		`{"subscriber":"a","abuse_mail":"x@y.net"}`: "abuse_mail",
	} {
		res, err := Read(strings.NewReader(head+line+"\nbert,,,,,,\n"), func([]Entry) error { return nil })
		if err != nil || res.Taken != 1 || res.BadCount != 1 || res.Bad[0].Line != 2 || !strings.Contains(res.Bad[0].Why, want) {
			t.Errorf("%s: %+v, %v; want a word of %q", line, res, err, want)
			continue
		}
		for _, personal := range []string{"not-one", "0470", "pigeon", "secret"} {
			if strings.Contains(res.Bad[0].Why, personal) {
				t.Errorf("%s: the refusal says what stood there: %s", line, res.Bad[0].Why)
			}
		}
	}
	for _, whole := range []string{"", "\n", "name,mail\nx,y\n", "subscriber,subscriber\n", strings.Repeat("x", MaxLine+1)} {
		if _, err := Read(strings.NewReader(whole), func([]Entry) error { return nil }); err == nil {
			t.Errorf("%.20q is taken", whole)
		}
	}
	res, err := Read(strings.NewReader(head+strings.Repeat("anna,x,,,,,\n", 100)), func([]Entry) error { return nil })
	if err != nil || res.BadCount != 100 || len(res.Bad) != MaxBad {
		t.Errorf("%d of %d told, %v", len(res.Bad), res.BadCount, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(small)
	f.Add(`{"subscriber":"anna","channels":["sms"]}`)
	f.Add("line,phone\n\"x\",+1\n")
	f.Fuzz(func(t *testing.T, s string) {
		n := 0
		res, err := Read(strings.NewReader(s), func(all []Entry) error {
			if len(all) > MaxBatch {
				t.Errorf("%d at once", len(all))
			}
			for _, e := range all {
				if err := e.Check(); err != nil {
					t.Errorf("taken, and refused: %v", err)
				}
			}
			n += len(all)
			return nil
		})
		if err == nil && n != res.Taken {
			t.Errorf("%d given, %d told", n, res.Taken)
		}
	})
}

func TestReach(t *testing.T) {
	full := Entry{Subscriber: "a", Name: "A", Mail: "a@b.example", Phone: "+32470000000", Street: "S 1", City: "C"}
	for _, c := range []struct {
		name string
		e    func(*Entry)
		want []notice.Channel
		ways string
	}{
		{"mail where nothing is preferred", func(*Entry) {}, nil, "[mail]"},
		{"what is preferred", func(e *Entry) { e.Channels = []notice.Channel{notice.SMS, notice.Mail} }, nil, "[sms mail]"},
		{"what is asked for before it", func(e *Entry) { e.Channels = []notice.Channel{notice.SMS} }, []notice.Channel{notice.Letter}, "[letter]"},
		{"a letter where there is no mail", func(e *Entry) { e.Mail = "" }, nil, "[letter]"},
		{"what is preferred leads nowhere", func(e *Entry) { e.Channels, e.Phone = []notice.Channel{notice.SMS}, "" }, nil, "[mail]"},
		{"nothing leads there", func(e *Entry) { *e = Entry{Line: "l"} }, nil, "[]"},
	} {
		e := full
		c.e(&e)
		if got := fmt.Sprint(e.Reach(c.want)); got != c.ways {
			t.Errorf("%s: %s, want %s", c.name, got, c.ways)
		}
	}
}

func open(t *testing.T) (*Book, *store.DB, *clock.Fake) {
	t.Helper()
	c := clock.NewFake(noon)
	db := storetest.Open(t, c, audit.Schema(), factlog.Schema(), Schema())
	keys, err := vault.Open(t.TempDir(), c)
	if err != nil {
		t.Fatal(err)
	}
	return New(DefaultConfig(), db, keys, c, nil), db, c
}

func TestTheBookKeepsOneEntryOfASubscriber(t *testing.T) {
	b, db, c := open(t)
	put := func(e ...Entry) {
		t.Helper()
		if err := b.Put(t.Context(), bolwerk.Socket(), "f", e); err != nil {
			t.Fatal(err)
		}
	}
	find := func(who session.Identity) (e Entry, f Flags, err error) {
		t.Helper()
		if ferr := db.Read(t.Context(), func(tx *store.Tx) (ferr error) {
			if f, ferr = b.Flags(tx, who); ferr == nil {
				e, err = b.Find(tx, who)
			}
			return ferr
		}); ferr != nil {
			t.Fatal(ferr)
		}
		return e, f, err
	}
	anna := session.Identity{Subscriber: "anna", Line: "port 7"}
	if _, f, err := find(anna); f.Known || !errors.Is(err, bolwerk.ErrNotFound) {
		t.Errorf("of nobody %+v, %v", f, err)
	}
	put(Entry{Subscriber: "anna", Mail: "a@b.example", Flags: Flags{Vulnerable: true}}, Entry{Line: "port 7", Flags: Flags{Never: true}})
	if e, f, err := find(anna); err != nil || e.Mail != "a@b.example" || f != (Flags{Known: true, Never: true, Vulnerable: true}) {
		t.Errorf("%+v %+v, %v", e, f, err)
	}
	c.Add(40 * 24 * time.Hour) // another month, another key
	put(Entry{Subscriber: "anna", Mail: "new@b.example"})
	if e, f, err := find(anna); err != nil || e.Mail != "new@b.example" || f != (Flags{Known: true, Never: true}) {
		t.Errorf("told anew: %+v %+v, %v", e, f, err)
	}
	count := func() (n int64) {
		if err := db.Read(t.Context(), func(tx *store.Tx) error { return tx.Row(`select count(*) from abuse_contact`).Scan(&n) }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count(); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
	if _, f, _ := find(session.Identity{Subscriber: "x", Reseller: true}); !f.Reseller || f.Known {
		t.Errorf("a reseller by its line: %+v", f)
	}
	c.Add(380 * 24 * time.Hour) // the line was told 420 days ago
	if err := b.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 1 {
		t.Errorf("%d rows after what is old is forgotten, want 1", n)
	}
	if e, _, err := find(anna); err != nil || e.Mail != "new@b.example" {
		t.Errorf("%+v, %v", e, err)
	}
	if err := db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
		had, err := b.Remove(tx, session.Identity{Subscriber: "anna"})
		if !had {
			t.Error("anna was not there")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 0 {
		t.Errorf("%d rows, want none", n)
	}
}

func TestThePutIsAllOrNothing(t *testing.T) {
	b, _, _ := open(t)
	err := b.Put(t.Context(), bolwerk.Socket(), "f", []Entry{{Subscriber: "a"}, {Subscriber: "b", Mail: "x"}})
	if !errors.Is(err, bolwerk.ErrInvalid) || !strings.Contains(err.Error(), "contact 2: mail") {
		t.Errorf("%v", err)
	}
	if err := b.Put(t.Context(), bolwerk.Socket(), "f", make([]Entry, MaxBatch+1)); !errors.Is(err, bolwerk.ErrInvalid) {
		t.Errorf("%v", err)
	}
}
