package demo

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"html"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/shield/door"
	"bolwerk/shield/reading"
)

// Report is one report of the demo and when it arrives.
type Report struct {
	// ID is a UUIDv7 that depends on the report's place alone: the same in every
	// run, on every day.
	ID string
	// After is how long after the start it arrives, at most Spread.
	After   time.Duration
	Channel door.Channel
	// MailFrom is the envelope sender; empty on the web. All come from loopback,
	// which is the operator's own network in the demo.
	MailFrom string
	// Exactly one of these is set: a mail, the text of an SMS, a link.
	Raw  []byte
	Text string
	URL  string
	Lang bolwerk.Lang

	want expected
}

// expected is what reading must make of a report; the tests hold it to that.
type expected struct {
	kind     reading.Kind
	hosts    []string // of wanted URLs, in A-labels
	drill    bool
	campaign int // place in campaigns; -1 is none
}

// Taken is the report as a door of the operator takes it at the given moment;
// token is the reporter's receipt code.
func (r Report) Taken(at time.Time, token bolwerk.Token) door.Report {
	d := door.Report{Channel: r.Channel, ReceivedAt: at, Token: token.Reveal(), OwnNetwork: true, MailFrom: r.MailFrom}
	switch {
	case r.Raw != nil:
		d.Form, d.Body = door.Mail, r.Raw
	case r.URL != "":
		d.Form, d.Body, d.Lang = door.Link, []byte(r.URL), r.Lang
	default:
		d.Form, d.Body, d.Lang = door.Text, []byte(r.Text), r.Lang
	}
	return d
}

// Reports are the 200 reports in the order of their arrival: one of each
// campaign and some more within four seconds, the rest in bursts up to Spread.
func Reports(w World) []Report {
	g := &generator{w: w, rand: rand.New(rand.NewPCG(7, 2026))}
	var all []Report
	for i, c := range campaigns() {
		for n := range c.reports {
			r := g.report(i, c, n)
			r.After = g.arrival(i, n)
			all = append(all, r)
		}
	}
	for n, r := range slices.Concat(g.newsletters(), g.strays()) {
		r.After = 6*time.Second + Spread*time.Duration(n*37%101)/110
		all = append(all, r)
	}
	// A few people send the same mail twice.
	for _, i := range []int{0, 30, 75} {
		again := all[i]
		again.After = min(again.After+time.Duration(15+i)*time.Second, Spread)
		all = append(all, again)
	}
	slices.SortStableFunc(all, func(a, b Report) int { return cmp.Compare(a.After, b.After) })
	for i := range all {
		all[i].ID = id(i)
	}
	return all
}

// id is the id of the report in that place.
func id(place int) string {
	const base = 1_767_225_600_000 // 2026-01-01 in milliseconds
	sum := sha256.Sum256(fmt.Appendf(nil, "bolwerk demo report %d", place))
	b := sum[:16]
	ms := uint64(base + place)
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// generator makes reports; each draws from one stream, so their order matters.
type generator struct {
	w     World
	rand  *rand.Rand
	mails int
}

func pick[T any](g *generator, of []T) T { return of[g.rand.IntN(len(of))] }

// arrival of the nth report of a campaign: the first at once, then a burst that
// begins a while later for each campaign and thins out.
func (g *generator) arrival(campaign, n int) time.Duration {
	switch {
	case n == 0:
		return time.Duration(campaign) * 300 * time.Millisecond
	case n < 3 && campaign < 4:
		return time.Duration(n)*1500*time.Millisecond + time.Duration(campaign)*170*time.Millisecond
	}
	begins := 5*time.Second + time.Duration(campaign*16)*time.Second
	at := begins + time.Duration(g.rand.ExpFloat64()*float64(30*time.Second))
	if at > Spread {
		at = 5*time.Second + time.Duration(g.rand.Int64N(int64(Spread-5*time.Second)))
	}
	return at.Truncate(time.Millisecond)
}

// report is the nth of a campaign.
func (g *generator) report(place int, c campaign, n int) Report {
	l := c.letters[n%len(c.letters)]
	host := c.hosts[n%len(c.hosts)]
	link := "https://" + host + c.path
	r := Report{Lang: l.lang, Channel: door.ByWeb}
	r.want = expected{hosts: []string{name(host).String()}, campaign: place}
	switch way := (n*7 + 3) % 10; {
	case way < c.bySMS:
		r.Text, r.want.kind = strings.Replace(l.sms, "LINK", link, 1), reading.FreeText
		return r
	case way < c.bySMS+c.byURL:
		r.URL, r.want.kind = link, reading.SingleURL
		return r
	}
	lure := g.lure(c, l, link)
	f := form((n + place) % int(forms))
	return g.mail(r, f, lure, link)
}

// mail completes a report that comes by mail in the given form.
func (g *generator) mail(r Report, f form, lure mailing, link string) Report {
	outer := g.note(r.Lang, lure)
	if f <= attachedFile && lure.text != "" { // some phishers write text or a page only
		switch g.rand.IntN(6) {
		case 0:
			lure.text = ""
		case 1:
			lure.page = ""
		}
	}
	r.Channel, r.MailFrom = door.ByMail, outer.from
	r.Raw = handOn(f, outer, lure, r.Lang, link)
	switch f {
	case attachedNamed, attachedBare, attachedFile:
		r.want.kind = reading.Attached
	case pasted, defanged:
		r.want.kind = reading.Plain
	default:
		r.want.kind = reading.Inline
	}
	return r
}

// lure is the phisher's mail. Where it says to come from the brand itself, the
// operator's mail server has found that DMARC fails.
func (g *generator) lure(c campaign, l letter, link string) mailing {
	m := mailing{fromName: l.sender, from: c.from, to: "klant@thuisnet.example", subject: l.subject, encoding: g.encoding()}
	m.id, m.date = g.message(-time.Duration(20+g.rand.IntN(600)) * time.Minute)
	m.text, m.page = l.write(c, link)
	_, from, _ := strings.Cut(c.from, "@")
	result := "none"
	if from == brandOf(g.w.Brands, c.brand).Domains[0].String() {
		result = "fail"
	}
	m.fields = []string{
		"Return-Path: <bounce@" + from + ">",
		fmt.Sprintf("Received: from mailer (unknown [203.0.113.%d]) by %s; %s", 10+g.rand.IntN(200), authserv, m.date.Format(time.RFC1123Z)),
		fmt.Sprintf("Authentication-Results: %s; spf=fail smtp.mailfrom=%s; dmarc=%s header.from=%s", authserv, from, result, from),
	}
	return m
}

// note is the reporter's own mail around a lure.
func (g *generator) note(lang bolwerk.Lang, lure mailing) mailing {
	who := pick(g, reporters[lang])
	m := mailing{fromName: who[0], from: who[1], to: g.w.ReportTo.String(), subject: forwardPrefix(lang) + lure.subject, encoding: g.encoding(), text: pick(g, notes[lang])}
	m.id, m.date = g.message(time.Duration(g.mails) * time.Second)
	return m
}

func (g *generator) encoding() string {
	return pick(g, []string{"8bit", "quoted-printable", "quoted-printable", "base64"})
}

// message gives the id and the date of the next mail.
func (g *generator) message(from time.Duration) (string, time.Time) {
	g.mails++
	sum := sha256.Sum256(fmt.Appendf(nil, "bolwerk demo mail %d", g.mails))
	return fmt.Sprintf("%x", sum[:10]), g.w.Day.Add(from)
}

func forwardPrefix(l bolwerk.Lang) string {
	switch l {
	case bolwerk.FR:
		return "TR: "
	case bolwerk.DE:
		return "WG: "
	case bolwerk.NL:
		return "FW: "
	}
	return "Fwd: "
}

// newsletters are honest mails that people report all the same: of popular
// sites, of a partner, with pixels and ways to leave the list.
func (g *generator) newsletters() []Report {
	var out []Report
	for i, s := range []string{"boekenhoek.example", "tuinhoek.example", partner, "cuisinehoek.example", "reisemarkt.example", "wijnhoek.example", partner, "musikhuis.example"} {
		lang := []bolwerk.Lang{bolwerk.NL, bolwerk.NL, bolwerk.NL, bolwerk.FR, bolwerk.DE, bolwerk.NL, bolwerk.EN, bolwerk.DE}[i]
		firm, _, _ := strings.Cut(s, ".")
		m := mailing{fromName: strings.ToUpper(firm[:1]) + firm[1:], from: "nieuws@" + s, to: "klant@thuisnet.example", subject: newsTitle[lang], encoding: "quoted-printable"}
		m.id, m.date = g.message(-3 * time.Hour)
		link := fmt.Sprintf("https://%s/aanbieding/%d", s, 100+i)
		leave := fmt.Sprintf("https://%s/unsubscribe?u=%d", s, 5000+i)
		m.page = fmt.Sprintf(`<html><body><h1>%s</h1><p>%s</p><p><a href="%s">%s</a></p><img src="https://%s/open.gif?u=%d" width="1" height="1"><p><a href="%s">unsubscribe</a></p></body></html>`,
			html.EscapeString(m.fromName), html.EscapeString(newsText[lang]), link, html.EscapeString(newsTitle[lang]), s, 5000+i, leave)
		m.fields = []string{"List-Unsubscribe: <" + leave + ">", "Precedence: bulk", fmt.Sprintf("Authentication-Results: %s; dmarc=pass header.from=%s", authserv, s)}
		r := Report{Lang: lang, want: expected{hosts: []string{s}, campaign: -1}}
		out = append(out, g.mail(r, []form{attachedNamed, attachedBare, gmail}[i%3], m, link))
	}
	return out
}

// strays are single reports that are no campaign's.
func (g *generator) strays() []Report {
	stray := func(l letter, c campaign, f form, link string, hosts ...string) Report {
		r := Report{Lang: l.lang, want: expected{hosts: hosts, campaign: -1}}
		return g.mail(r, f, g.lure(c, l, link), link)
	}
	all := campaigns()
	plain := func(subject string, lang bolwerk.Lang, text string) Report {
		m := g.note(lang, mailing{subject: subject})
		m.subject, m.text = subject, text
		return Report{Lang: lang, Channel: door.ByMail, MailFrom: m.from, Raw: m.bytes(), want: expected{kind: reading.Plain, campaign: -1}}
	}
	drill := func() Report {
		l := letter{bolwerk.NL, "Personeelszaken", "Vul uw verlof voor vrijdag in", []string{"Beste collega,", "vul uw verlof in voor vrijdag, anders vervalt het.", "LINK"}, "Verlof invullen", ""}
		link := "https://verlof.oefening-veilig.example/inloggen"
		m := g.lure(campaign{from: "hr@oefening-veilig.example", brand: bank}, l, link)
		m.fields = append(m.fields, "X-PhishTest: exercise 14")
		r := Report{Lang: l.lang, want: expected{hosts: []string{"verlof.oefening-veilig.example"}, drill: true, campaign: -1}}
		return g.mail(r, attachedNamed, m, link)
	}
	hacked, short := all[0], all[6]
	hacked.shown, short.shown = "", ""
	hacked.from, short.from = "info@fietsenhoek.example", "info@gratis-bericht.example"
	return []Report{
		stray(hacked.letters[0], hacked, attachedNamed, "https://"+shop+"/media/merelbank/index.php", shop),
		stray(hacked.letters[1], hacked, outlook, "https://"+shop+"/media/merelbank/index.php", shop),
		stray(short.letters[0], short, gmail, "https://kort.example/p4k3t", "kort.example"),
		{Lang: bolwerk.FR, Channel: door.ByWeb, URL: "http://203.0.113.77/colis/suivi", want: expected{kind: reading.SingleURL, hosts: []string{"203.0.113.77"}, campaign: -1}},
		{Lang: bolwerk.NL, Channel: door.ByWeb, Text: "Hoi mama, mijn telefoon is kapot. Dit is mijn nieuwe nummer, stuur je een berichtje?", want: expected{kind: reading.FreeText, campaign: -1}},
		plain("Vreemd telefoontje", bolwerk.NL, "Iemand belde mij en zei dat hij van mijn bank was. Ik moest een programma installeren. Ik heb opgehangen, maar wilde het toch melden."),
		plain("Carte cadeau", bolwerk.FR, "Mon chef m'écrit de vous acheter des cartes cadeau, mais ce n'est pas son adresse. Que faire avec ce message pour vous aider ?"),
		plain("Falsche Rechnung", bolwerk.DE, "Ich habe eine Rechnung bekommen, die nicht von mir ist. Ein Link ist nicht dabei. Was soll ich mit dem Brief tun?"),
		drill(),
		{Lang: bolwerk.EN, Channel: door.ByWeb, URL: "https://www.merelbank.example/inloggen", want: expected{kind: reading.SingleURL, hosts: []string{"www.merelbank.example"}, campaign: -1}},
	}
}
